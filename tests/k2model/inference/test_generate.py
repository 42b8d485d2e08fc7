import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from k2model.config import K2Config, YarnConfig
from k2model.errors import ConfigError
from k2model.formats.checkpoint import save_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.request import Request
from k2model.model import K2Model

torch.set_num_threads(1)


def _model(**changes: Any) -> K2Model:
    config = K2Config.preset("smoke", vocab_size=256, max_position_embeddings=256, **changes)
    model = K2Model(config, seed=1)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.mul_(4.0)
    return model


def _prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 256, (n,), generator=generator).tolist() for n in (1, 7, 40, 23, 64, 5)]


@pytest.mark.parametrize(
    "changes", [{}, {"rope_scaling": YarnConfig(4.0, 64)}, {"q_lora_rank": None}], ids=["plain", "yarn", "moonlight"]
)
def test_greedy_equals_transformers_token_for_token(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = _model(**changes)
    save_checkpoint(model, tmp_path / "m")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32).eval()
    engine = Engine(model, max_batch=3, prefill_chunk=16)
    results = engine.generate([Request(prompt, 30, temperature=0.0) for prompt in _prompts()])
    for prompt, result in zip(_prompts(), results, strict=True):
        ids = torch.tensor([prompt])
        settings = {"max_new_tokens": 30, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
        expected = theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)
        assert result.ids == expected[0, len(prompt) :].tolist()
    assert len({tuple(result.ids) for result in results}) > 1


def test_logprobs_are_the_models_own() -> None:
    model = _model()
    request = Request(_prompts()[2], 20, temperature=0.7, seed=5)
    (result,) = Engine(model).generate([request])
    tokens_BL = torch.tensor([[*request.prompt, *result.ids]])
    with torch.no_grad():
        logprob_BL, _ = model.log_probs(tokens_BL[:, :-1], tokens_BL[:, 1:], temperature=0.7)
    expected_T = logprob_BL[0, len(request.prompt) - 1 :]
    torch.testing.assert_close(torch.tensor(result.logprobs), expected_T, rtol=0, atol=1e-4)


def test_a_request_does_not_depend_on_its_neighbours() -> None:
    model = _model()
    requests = [Request(prompt, 12, temperature=1.0, seed=i) for i, prompt in enumerate(_prompts())]
    together = Engine(model, max_batch=2).generate(requests)
    alone = [Engine(model, max_batch=1).generate([request])[0] for request in requests]
    assert [result.ids for result in together] == [result.ids for result in alone]
    again = Engine(model, max_batch=6).generate(requests)
    assert [result.ids for result in again] == [result.ids for result in together]


def test_stopping_and_limits() -> None:
    model = _model()
    engine = Engine(model, max_batch=2, max_length=64)
    (free,) = engine.generate([Request([1, 2, 3], 20, temperature=0.0)])
    stop = free.ids[4]
    (stopped,) = engine.generate([Request([1, 2, 3], 20, temperature=0.0, stop_ids=frozenset({stop}))])
    assert stopped.ids == free.ids[: free.ids.index(stop) + 1]
    assert stopped.finish_reason == "stop"
    (full,) = engine.generate([Request([1] * 60, 20, temperature=0.0)])
    assert (len(full.ids), full.finish_reason) == (4, "length")
    with pytest.raises(ConfigError, match="a prompt of 64 tokens; the context is 64"):
        engine.submit(Request([1] * 64, 1))
    with pytest.raises(ConfigError, match="needs a prompt"):
        engine.submit(Request([], 1))
    assert len(engine.free) == 2


def test_the_cache_is_compressed() -> None:
    model = _model()
    c = model.config
    assert Engine(model, max_batch=2, max_length=16).cached.cache_LSTX.shape == (
        c.num_hidden_layers,
        2,
        16,
        c.kv_lora_rank + c.qk_rope_head_dim,
    )


def test_prompt_logprobs_are_those_of_a_plain_forward_pass_in_float64(tmp_path: Path) -> None:
    model = _model()
    save_checkpoint(model, tmp_path / "m")
    settings: Any = {"dtype": torch.float64, "experts_implementation": "eager"}
    exact = AutoModelForCausalLM.from_pretrained(tmp_path / "m", **settings).eval()
    prompts = [*_prompts(), _prompts()[4]]
    requests = [
        Request(prompt, 3, temperature=0.3, top_k=2, logit_bias={7: 50.0}, prompt_logprobs=top)
        for prompt, top in zip(prompts, (0, 3, 5, None, 2, 1, 0), strict=True)
    ]
    results = Engine(model, max_batch=4, prefill_chunk=16).generate(requests)
    for request, result in zip(requests, results, strict=True):
        if request.prompt_logprobs is None:
            assert result.prompt_logprobs == result.prompt_top == []
            continue
        tokens_1L = torch.tensor([request.prompt])
        with torch.no_grad():
            logits_LV = exact(tokens_1L).logits[0, :-1]
        logp_LV = torch.log_softmax(logits_LV, dim=-1)
        expected_L = logp_LV.gather(1, tokens_1L[0, 1:, None]).squeeze(1)
        assert result.prompt_logprobs == pytest.approx(expected_L.tolist(), abs=2e-4)
        assert len(result.prompt_logprobs) == len(request.prompt) - 1
        if request.prompt_logprobs:
            best = logp_LV.topk(request.prompt_logprobs)
            assert [[token for token, _ in top] for top in result.prompt_top] == best.indices.tolist()
            torch.testing.assert_close(
                torch.tensor([[value for _, value in top] for top in result.prompt_top]).view_as(best.values),
                best.values.float(),
                rtol=0,
                atol=2e-4,
            )
        else:
            assert result.prompt_top == []


def test_bias_and_penalties_are_of_a_request_alone() -> None:
    model = _model()
    prompts = _prompts()
    banned = Engine(model).generate([Request(prompts[0], 20, temperature=0.0)])[0].ids[0]
    requests = [
        Request(prompts[0], 20, temperature=0.0),
        Request(prompts[1], 20, temperature=0.0, logit_bias={9: 100.0}),
        Request(prompts[2], 20, temperature=0.0, presence_penalty=2.0, frequency_penalty=2.0, logit_bias={9: 30.0}),
        Request(prompts[0], 20, temperature=0.0, logit_bias={banned: -100.0}),
        Request(prompts[3], 20, temperature=1.0, seed=4),
    ]
    together = Engine(model, max_batch=5).generate(requests)
    alone = [Engine(model, max_batch=1).generate([request])[0] for request in requests]
    assert [result.ids for result in together] == [result.ids for result in alone]
    assert together[1].ids == [9] * 20
    assert banned not in together[3].ids
    # Each 9 costs 2 more, and the first one 2 besides: it is left before the bias of 30 is used up.
    assert 1 < together[2].ids.count(9) < 20


def test_greedy_with_penalties_follows_the_penalised_logits_of_a_plain_forward_pass() -> None:
    model = _model()
    request = Request(_prompts()[2], 25, temperature=0.0, presence_penalty=0.7, frequency_penalty=0.9)
    (result,) = Engine(model).generate([request])
    ids = list(request.prompt)
    for token in result.ids:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits_BLV[0, -1].tolist()
        for other in set(ids[len(request.prompt) :]):
            logits[other] -= 0.7 + 0.9 * ids[len(request.prompt) :].count(other)
        assert token == max(range(len(logits)), key=logits.__getitem__)
        ids.append(token)


def test_values_at_the_edge_of_what_can_be_are_taken() -> None:
    extreme: dict[str, Any] = {"top_k": 10**30, "seed": -(10**40), "top_logprobs": 10**6, "temperature": 1e6}
    engine = Engine(_model(), max_batch=2, max_length=64)
    for values in (extreme, {"temperature": 5e-324, "max_tokens": 10**30, "prompt_logprobs": 10**6, "min_p": 1.0}):
        (result,) = engine.generate([Request(**({"prompt": [1, 2], "max_tokens": 4} | values))])
        assert len(result.ids) == (62 if "min_p" in values else 4)
        assert all(len(top) == 256 for top in (*result.top, *result.prompt_top))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_tokens": 0}, "max_tokens: 0 is not a whole number of at least 1"),
        ({"max_tokens": -3}, "max_tokens: -3 is not a whole number of at least 1"),
        ({"max_tokens": 2.5}, "max_tokens: 2.5 is not a whole number"),
        ({"max_tokens": None}, "max_tokens: None is not a whole number"),
        ({"seed": 0.5}, "seed: 0.5 is not a whole number"),
        ({"seed": None}, "seed: None is not a whole number"),
        ({"temperature": "hot"}, "temperature: 'hot' is not a number between 0.0 and 1000000.0"),
        ({"temperature": None}, "temperature: None is not a number"),
        ({"top_k": 2.0}, "top_k: 2.0 is not a whole number"),
        ({"stop_strings": ("a", "")}, "stop_strings: ['a', '']"),
        ({"logit_bias": {3: "much"}}, "logit_bias: 'much' of token 3"),
        ({"logit_bias": {"3": 1.0}}, "logit_bias: token '3' is outside the vocabulary of 256"),
        ({"prompt": [1, "a"]}, "prompt: token 'a' is outside the vocabulary of 256"),
        ({"prompt": [1, 2.0]}, "prompt: token 2.0 is outside the vocabulary of 256"),
        ({"prompt": [10**30]}, "outside the vocabulary of 256"),
        ({"prompt": []}, "needs a prompt"),
        ({"temperature": -0.1}, "temperature: -0.1"),
        ({"temperature": float("nan")}, "temperature: nan"),
        ({"temperature": float("inf")}, "temperature: inf"),
        ({"top_p": 0.0}, "top_p: 0"),
        ({"top_p": 1.1}, "top_p: 1.1"),
        ({"top_k": -1}, "top_k: -1"),
        ({"min_p": 1.5}, "min_p: 1.5"),
        ({"frequency_penalty": 2.1}, "frequency_penalty: 2.1"),
        ({"presence_penalty": float("nan")}, "presence_penalty: nan"),
        ({"logit_bias": {3: float("nan")}}, "logit_bias: nan of token 3"),
        ({"logit_bias": {256: 1.0}}, "logit_bias: token 256 is outside the vocabulary of 256"),
        ({"top_logprobs": -1}, "top_logprobs: -1"),
        ({"prompt_logprobs": -1}, "prompt_logprobs: -1"),
        ({"prompt": [1, 256]}, "prompt: token 256 is outside the vocabulary of 256"),
        ({"prompt": [-1]}, "prompt: token -1 is outside the vocabulary of 256"),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    engine = Engine(_model(), max_batch=2, max_length=64)
    with pytest.raises(ConfigError, match=re.escape(message)):
        engine.submit(Request(**({"prompt": [1], "max_tokens": 2} | values)))
    assert not engine.waiting
