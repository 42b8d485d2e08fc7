from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from k2model.config import K2Config, YarnConfig
from k2model.errors import ConfigError
from k2model.formats.checkpoint import save_checkpoint
from k2model.inference.generate import Engine, Request
from k2model.inference.sampling import sample, uniforms
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
    assert Engine(model, max_batch=2, max_length=16).cache_LBTX.shape == (
        c.num_hidden_layers,
        2,
        16,
        c.kv_lora_rank + c.qk_rope_head_dim,
    )


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


def test_random_numbers_are_uniform_and_named() -> None:
    u = uniforms(range(10000), [3] * 10000)
    assert 0.48 < u.mean() < 0.52
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(float(((u[:-1] - 0.5) * (u[1:] - 0.5)).mean())) < 0.005
    assert uniforms([7], [3])[0] == uniforms([1, 7], [0, 3])[1]
