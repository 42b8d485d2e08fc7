import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from agents.chat.checkpoint import CheckpointClient
from agents.chat.endpoint import EndpointOptions
from agents.chat.open import open_client
from agents.chat.protocol import ChatError, ChatRefusal, ChatRequest, ChatResponse
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model

TEXT = ["The quick brown fox jumps over the lazy dog. " * 4, "Numbers 1 2 3 and words, words, words! " * 4]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("k2") / "checkpoint"
    tokenizer: Tokenizer = train_tokenizer(TEXT, 300)
    config = K2Config.preset("smoke", vocab_size=300, max_position_embeddings=128)
    save_checkpoint(K2Model(config, seed=1), folder)
    save_tokenizer(tokenizer, folder.parent / "tokenizer", chat_template="", max_length=128)
    return folder


def test_a_checkpoint_answers_as_greedy_decoding_does(checkpoint: Path) -> None:
    client = open_client(str(checkpoint), tokenizer=checkpoint.parent / "tokenizer", rows=2)
    inner = client.client
    assert isinstance(inner, CheckpointClient)
    requests = [ChatRequest(({"role": "user", "content": text},), max_tokens=6) for text in ("a", "fox", "12")]
    places: list[int] = []
    answers = client.complete(requests, lambda place, answer: places.append(place))
    assert sorted(places) == [0, 1, 2]
    tokenizer = load_tokenizer(checkpoint.parent / "tokenizer")
    for request, answer in zip(requests, answers, strict=True):
        ids = encode_prompt(tokenizer, request.messages)
        start = len(ids)
        with torch.no_grad():
            while len(ids) - start < 6:
                ids.append(int(inner.network(torch.tensor([ids])).logits_BLV[0, -1].argmax()))
                if ids[-1] in (tokenizer.im_end, tokenizer.eos, tokenizer.special["[EOT]"]):
                    break
        assert (
            isinstance(answer, ChatResponse)
            and answer.prompt_tokens == start
            and answer.completion_tokens == len(ids) - start
        )
        written = tokenizer.decode(ids[start:])
        for end in ("<|im_end|>", "[EOS]", "[EOT]"):
            written = written.removesuffix(end)
        assert answer.text == written


def test_the_identity_of_a_checkpoint_is_its_content(checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = checkpoint.parent / "tokenizer"
    one = open_client(str(checkpoint), tokenizer=tokenizer).model
    other = tmp_path / "other"
    config = K2Config.from_dict(json.loads((checkpoint / "config.json").read_text()))
    save_checkpoint(K2Model(config, seed=2), other)
    assert open_client(str(other), tokenizer=tokenizer).model != one


def test_a_published_folder_has_no_manifest_and_the_same_identity(checkpoint: Path, tmp_path: Path) -> None:
    tokenizer = checkpoint.parent / "tokenizer"
    bare = shutil.copytree(checkpoint, tmp_path / "bare", ignore=shutil.ignore_patterns("manifest.json"))
    assert open_client(str(bare), tokenizer=tokenizer).model == open_client(str(checkpoint), tokenizer=tokenizer).model
    config = bare / "config.json"
    config.write_text(config.read_text() + "\n")
    assert open_client(str(bare), tokenizer=tokenizer).model != open_client(str(checkpoint), tokenizer=tokenizer).model


def test_a_request_too_long_for_a_checkpoint_costs_itself(checkpoint: Path) -> None:
    client = open_client(str(checkpoint), tokenizer=checkpoint.parent / "tokenizer", rows=2)
    short, long = (ChatRequest(({"role": "user", "content": "fox " * n},), max_tokens=4) for n in (1, 200))
    assert client.fits(short) and not client.fits(long)
    answers = client.complete([short, long, short])
    assert isinstance(answers[0], ChatResponse) and answers[2] == answers[0]
    assert isinstance(answers[1], ChatRefusal) and answers[1].kind == "too_long"
    assert client.losses.too_long == 1 and not client.losses.failed


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ("http://h:1/v1#m", "http://h:1/v1#m"),
        ("https://user:pass%20word@h/v1/#org/m", "https://h/v1#org/m"),
        ("http://h/v1?api_key=abc123456&api-version=2#m", "http://h/v1?api-version=2#m"),
        ("HTTP://key@h/v1#m", "HTTP://h/v1#m"),
    ],
)
def test_the_identity_of_an_endpoint_is_its_url_without_secrets_and_its_model(spec: str, model: str) -> None:
    assert open_client(spec).model == model
    assert open_client(spec.partition("#")[0], endpoint=EndpointOptions(model.partition("#")[2])).model == model


@pytest.mark.parametrize(("spec", "said"), [("nowhere", "neither 'embedded'"), ("http://x/v1", "name of its model")])
def test_a_wrong_spec_is_one_line(spec: str, said: str) -> None:
    with pytest.raises(ChatError, match=said):
        open_client(spec)


@pytest.mark.parametrize("share", [7.0, -0.1, float("nan")])
def test_a_share_that_is_none_is_one_line(share: float) -> None:
    with pytest.raises(ChatError, match="max_failed_share: .* is not between 0 and 1"):
        open_client("http://127.0.0.1:9/v1#m", endpoint=EndpointOptions(max_failed_share=share))
