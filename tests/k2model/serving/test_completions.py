"""Completions: the prompt's log-probabilities (what lm_eval's loglikelihood reads), and the text that comes back."""

from pathlib import Path
from typing import Any

import openai
import pytest
import torch

from k2model.chat.tokenizer import K2Tokenizer
from k2model.formats.checkpoint import load_checkpoint
from k2model.inference.generate import Engine
from k2model.inference.request import Request

PROMPTS = ["The cat sat on the mat.", "Oslo", "é\u2028x"]


def _text(tokenizer: K2Tokenizer, ids: list[int]) -> str:
    pieces = tokenizer.token_bytes()
    return b"".join(pieces[token] if token < len(pieces) else b"\xef\xbf\xbd" for token in ids).decode(
        "utf-8", "replace"
    )


def _logp(folder: Path, ids: list[int]) -> torch.Tensor:
    """By a plain forward pass: [token, vocabulary], the row of a token being what precedes it says."""
    with torch.no_grad():
        logits = load_checkpoint(folder).eval()(torch.tensor([ids])).logits_BLV[0].float()
    return torch.log_softmax(logits, dim=-1)[:-1]


@pytest.mark.parametrize("max_tokens", [0, 1, 5])
@pytest.mark.parametrize("as_ids", [False, True])
def test_echo_gives_the_prompt_with_the_models_own_log_probabilities(
    client: openai.OpenAI, folder: Path, tokenizer: K2Tokenizer, max_tokens: int, as_ids: bool
) -> None:
    ids = [tokenizer.encode(prompt) for prompt in PROMPTS]
    prompt: Any = ids if as_ids else PROMPTS
    options: Any = {"model": "tiny", "echo": True, "logprobs": 3, "max_tokens": max_tokens, "temperature": 0, "seed": 1}
    answer = client.completions.create(prompt=prompt, **options)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(map(len, ids))
    assert answer.usage.completion_tokens <= max_tokens * 3
    for choice, text, prompt_ids in zip(answer.choices, PROMPTS, ids, strict=True):
        sampled = choice.token_ids  # type: ignore[attr-defined]
        assert len(sampled) <= max_tokens
        assert choice.text == text + _text(tokenizer, sampled)
        reference = _logp(folder, prompt_ids)
        told = choice.logprobs
        assert told is not None
        assert told.tokens is not None
        assert told.token_logprobs is not None
        assert told.top_logprobs is not None
        assert told.text_offset is not None
        size = len(prompt_ids)
        assert len(told.tokens) == len(told.token_logprobs) == len(told.top_logprobs) == size + len(sampled)
        assert told.token_logprobs[0] is told.top_logprobs[0] is None
        wanted = reference.gather(1, torch.tensor(prompt_ids[1:])[:, None]).squeeze(1).tolist()
        assert told.token_logprobs[1:size] == pytest.approx(wanted, abs=1e-4)
        for place in range(1, size):
            best = told.top_logprobs[place]
            assert max(best.values()) == pytest.approx(reference[place - 1].max().item(), abs=1e-4)
            assert told.tokens[place] in best
            assert len(best) in (3, 4)
        if choice.text.isascii():
            assert [choice.text[begin:].startswith(token) for begin, token in zip(told.text_offset, told.tokens)]
            assert told.text_offset == [len("".join(told.tokens[:k])) for k in range(len(told.tokens))]


def test_echo_in_a_stream_is_the_same_in_pieces(client: openai.OpenAI) -> None:
    options: Any = {"model": "tiny", "prompt": PROMPTS[:2], "echo": True, "logprobs": 1, "max_tokens": 4, "seed": 1}
    whole = client.completions.create(**options)
    chunks = list(client.completions.create(**options, stream=True))
    for index, choice in enumerate(whole.choices):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].index == index]
        assert "".join(piece.text for piece in own) == choice.text
        assert choice.logprobs is not None
        for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            joined = [value for piece in own for value in getattr(piece.logprobs, name)]
            assert joined == getattr(choice.logprobs, name)


def test_bytes_that_are_no_text_have_names_of_their_own(client: openai.OpenAI, tokenizer: K2Tokenizer) -> None:
    # Two of them as U+FFFD would be one entry, and the greedy one might be told to be the other.
    ids = tokenizer.encode("\u2028\u2029")
    options: Any = {"model": "tiny", "prompt": ids, "echo": True, "logprobs": 0, "max_tokens": 0}
    told = client.completions.create(**options).choices[0].logprobs
    assert told is not None
    assert told.tokens == ["bytes:\\xe2", "bytes:\\x80", "bytes:\\xa8", "bytes:\\xe2", "bytes:\\x80", "bytes:\\xa9"]
    assert told.text_offset == [0, 0, 0, 1, 1, 1]


def test_the_token_that_ends_an_answer_is_not_in_its_text(
    client: openai.OpenAI, folder: Path, tokenizer: K2Tokenizer
) -> None:
    bias = {str(tokenizer.im_end): 12.0}
    options: Any = {"model": "tiny", "prompt": "The cat", "max_tokens": 60, "logit_bias": bias}
    ended = [client.completions.create(**options, seed=seed).choices[0] for seed in range(5)]
    stopped = [choice for choice in ended if choice.finish_reason == "stop"]
    assert stopped
    for choice in stopped:
        ids = choice.token_ids  # type: ignore[attr-defined]
        assert ids[-1] == tokenizer.im_end
        assert choice.text == _text(tokenizer, ids[:-1])


def test_the_engine_and_the_server_sample_alike(client: openai.OpenAI, folder: Path, tokenizer: K2Tokenizer) -> None:
    own: dict[str, Any] = {"temperature": 0.9, "top_k": 7, "min_p": 0.02, "frequency_penalty": 0.4, "seed": 3}
    own |= {"presence_penalty": -0.2, "logit_bias": {5: 2.0}}
    stops = frozenset({tokenizer.im_end, tokenizer.eos})
    request = Request(tokenizer.encode("The cat"), 30, stop_ids=stops, markup=False, **own)
    (wanted,) = Engine(load_checkpoint(folder), tokenizer, max_length=600).generate([request])
    extra = {name: own.pop(name) for name in ("top_k", "min_p")}
    own["logit_bias"] = {"5": 2.0}
    answer = client.completions.create(model="tiny", prompt="The cat", max_tokens=30, **own, extra_body=extra)
    assert answer.choices[0].token_ids == wanted.ids  # type: ignore[attr-defined]
