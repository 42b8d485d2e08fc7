import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from agents.chat.checkpoint import CheckpointClient
from agents.chat.open import open_client
from agents.chat.protocol import ChatError, ChatRequest
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
    assert isinstance(client, CheckpointClient)
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
                ids.append(int(client.network(torch.tensor([ids])).logits_BLV[0, -1].argmax()))
                if ids[-1] in (tokenizer.im_end, tokenizer.eos, tokenizer.special["[EOT]"]):
                    break
        assert answer.prompt_tokens == start and answer.completion_tokens == len(ids) - start
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


@pytest.mark.parametrize(("spec", "said"), [("nowhere", "neither 'embedded'"), ("http://x/v1", "name of its model")])
def test_a_wrong_spec_is_one_line(spec: str, said: str) -> None:
    with pytest.raises(ChatError, match=said):
        open_client(spec)
