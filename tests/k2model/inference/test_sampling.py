"""Sampling against a reference in plain Python loops, in the order that vLLM documents."""

import itertools
import math
from typing import Any

import pytest
import torch

from k2model.errors import ConfigError
from k2model.inference.sampling import bias_logits, choose, forbid, penalize, sample, tempered, uniforms

Cut = tuple[float, int, float]  # top-p, top-k, min-p


def _logits(rows: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)) * 3


def _kept(logp: list[float], top_p: float, top_k: int, min_p: float) -> set[int]:
    """Token by token, as the definitions read: min-p, then top-k, then top-p of what is left."""
    p = [math.exp(value) for value in logp]
    order = sorted(range(len(p)), key=lambda token: -p[token])
    left = [token for token in order if p[token] >= min_p * p[order[0]]][: top_k or None]
    mass, total, kept = 0.0, sum(p[token] for token in left), set()
    for token in left:
        if mass >= top_p * total and top_p < 1:
            break
        kept.add(token)
        mass += p[token]
    return kept


def _choose_many(logp_V: torch.Tensor, cut: Cut, draws: int = 400) -> set[int]:
    columns: Any = {name: [value] * draws for name, value in zip(("top_p", "top_k", "min_p"), cut, strict=True)}
    logp_BV = logp_V.expand(draws, -1)
    token_B = choose(logp_BV, temperature=[1.0] * draws, seed=range(draws), step=[0] * draws, **columns)
    return set(token_B.tolist())


@pytest.mark.parametrize("cut", list(itertools.product((1.0, 0.9, 0.4), (0, 1, 3), (0.0, 0.05, 0.5))), ids=str)
def test_only_what_min_p_top_k_and_top_p_leave_is_sampled(cut: Cut) -> None:
    for seed in range(4):
        logp_V = torch.log_softmax(_logits(1, 12, seed)[0], dim=-1)
        kept = _kept(logp_V.tolist(), *cut)
        drawn = _choose_many(logp_V, cut)
        assert drawn <= kept
        likely = {token for token in kept if math.exp(float(logp_V[token])) > 0.05}
        assert likely <= drawn


def test_what_is_kept_is_sampled_by_its_own_share() -> None:
    logp_V = torch.log(torch.tensor([0.1, 0.5, 0.3, 0.06, 0.04]))
    rows = 4000
    token_B = choose(
        logp_V.expand(rows, -1),
        temperature=[1.0] * rows,
        top_p=[1.0] * rows,
        top_k=[2] * rows,
        seed=range(rows),
        step=[0] * rows,
    )
    share_V = torch.bincount(token_B, minlength=5) / rows
    torch.testing.assert_close(share_V, torch.tensor([0.0, 0.625, 0.375, 0.0, 0.0]), rtol=0, atol=0.03)


def test_a_row_is_sampled_alike_whatever_its_neighbours_ask_for() -> None:
    logits_BV = _logits(6, 50)
    asked: list[tuple[float, float, int, float]] = [
        (1.0, 1.0, 0, 0.0),
        (0.7, 0.9, 0, 0.0),
        (0.0, 1.0, 0, 0.0),
        (1.3, 1.0, 5, 0.0),
        (1.0, 1.0, 0, 0.1),
        (1e-42, 1.0, 0, 0.0),
    ]

    def tokens(rows: list[int]) -> list[int]:
        temperature, top_p, top_k, min_p = (list(column) for column in zip(*(asked[row] for row in rows), strict=True))
        settings: Any = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p}
        logp_BV = tempered(logits_BV[rows], temperature)
        return choose(logp_BV, seed=[7 + row for row in rows], step=[2] * len(rows), **settings).tolist()

    alone = [tokens([row])[0] for row in range(6)]
    for rows in itertools.permutations(range(6), 3):
        assert tokens(list(rows)) == [alone[row] for row in rows]


def test_requests_without_the_new_settings_get_the_tokens_they_always_got() -> None:
    logits_BV = _logits(6, 50)
    settings = ((1.0, 1.0), (0.7, 0.9), (1.3, 0.5), (0.0, 1.0))
    tokens = [
        sample(logits_BV[row : row + 1], temperature=[t], top_p=[p], seed=[row], step=[3])[0][0]
        for row in range(6)
        for t, p in settings
    ]
    # Of the code before top-k, min-p, penalties and bias were added.
    assert tokens == [45, 45, 45, 45, 9, 9, 9, 9, 34, 22, 22, 34, 0, 32, 32, 32, 10, 25, 25, 25, 21, 4, 4, 21]
    temperature = [1.0, 0.7, 0.0, 2.0, 0.3, 1.0]
    _, logprobs = sample(logits_BV, temperature=temperature, top_p=[1.0] * 6, seed=range(6), step=[1] * 6)
    # To the last bits but one: processors without AVX-512 sum in another order.
    assert logprobs == pytest.approx([-2.645873, -0.03722422, -0.9480111, -2.858193, -0.3181655, -1.342604], abs=2e-6)


@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-45, 1e-42, 1e-40, 1e-38, 1e-20, 1e-7])
@pytest.mark.parametrize("forbidden", [False, True])
def test_a_tiny_temperature_is_greedy(temperature: float, forbidden: bool) -> None:
    logits_BV = _logits(3, 20) * 100
    if forbidden:
        logits_BV[:, 5:] = float("-inf")
    tokens, logprobs = sample(
        logits_BV, temperature=[temperature] * 3, top_p=[0.9, 1.0, 1.0], seed=[1, 2, 3], step=[0] * 3
    )
    assert tokens == logits_BV.argmax(-1).tolist()
    expected = torch.log_softmax(logits_BV.double(), dim=-1).amax(-1).tolist()
    assert logprobs == pytest.approx(expected, abs=1e-4)


def test_bias_and_penalties_change_the_logits_that_they_name() -> None:
    logits_V = _logits(1, 10)[0]
    changed_V = logits_V.clone()
    bias_logits(changed_V, {2: -100.0, 7: 1.5})
    penalize(changed_V, {7: 3, 4: 1}, frequency=0.25, presence=-0.5)
    expected = logits_V.tolist()
    expected[2] += -100.0
    expected[7] += 1.5 - 0.25 * 3 + 0.5
    expected[4] += -0.25 + 0.5
    assert changed_V.tolist() == pytest.approx(expected, abs=1e-5)


def test_sampling_follows_the_distribution_and_top_p() -> None:
    logits_BV = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).expand(4000, 4).clone()
    rows = list(range(4000))
    ones = [1.0] * 4000
    tokens, logprobs = sample(logits_BV, temperature=ones, top_p=ones, seed=rows, step=[0] * 4000)
    share = torch.bincount(torch.tensor(tokens), minlength=4) / 4000
    torch.testing.assert_close(share, torch.tensor([0.5, 0.3, 0.15, 0.05]), rtol=0, atol=0.03)
    assert logprobs[0] == pytest.approx(float(logits_BV[0, tokens[0]]), abs=1e-6)
    cut, _ = sample(logits_BV, temperature=ones, top_p=[0.6] * 4000, seed=rows, step=[0] * 4000)
    assert set(cut) == {0, 1}
    cold, _ = sample(logits_BV, temperature=[0.0] * 4000, top_p=ones, seed=rows, step=[0] * 4000)
    assert set(cold) == {0}


def test_what_is_not_allowed_is_never_sampled_and_the_rest_keeps_its_logits() -> None:
    logits_V = _logits(1, 9)[0]
    logits_V[4] = math.nan
    before, allowed = logits_V.tolist(), [token in (1, 5, 8) for token in range(9)]
    forbid(logits_V, torch.tensor(allowed))
    assert logits_V.tolist() == [value if kept else -math.inf for value, kept in zip(before, allowed, strict=True)]
    with pytest.raises(ConfigError, match="allows no token"):
        forbid(logits_V, torch.zeros(9, dtype=torch.bool))


def test_random_numbers_are_uniform_and_named() -> None:
    u = uniforms(range(10000), [3] * 10000)
    assert 0.48 < u.mean() < 0.52
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(float(((u[:-1] - 0.5) * (u[1:] - 0.5)).mean())) < 0.005
    assert uniforms([7], [3])[0] == uniforms([1, 7], [0, 3])[1]
