"""A checkpoint over several calls: one engine, whose cache has what was read before."""

import pytest
import torch

from agents.chat.checkpoint import CheckpointClient
from agents.chat.protocol import BudgetExceeded, ChatAnswer, ChatRequest, ChatResponse, Dialog
from k2model.chat.messages import encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.inference import cached_model
from k2model.model import K2Model

TEXT = ["The quick brown fox jumps over the lazy dog. " * 4, "Numbers 1 2 3 and words, words, words! " * 4]
SYSTEM = {"role": "system", "content": "You are a fox. " * 20}
CONTEXT = 1024


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> K2Tokenizer:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(TEXT, 300), folder, chat_template="", max_length=CONTEXT)
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def network() -> K2Model:
    return K2Model(K2Config.preset("smoke", vocab_size=300, max_position_embeddings=CONTEXT), seed=1).eval()


def _client(network: K2Model, tokenizer: K2Tokenizer, rows: int = 4) -> CheckpointClient:
    return CheckpointClient(network, tokenizer, model="in memory", rows=rows)


def _asked(*texts: str, max_tokens: int = 6) -> ChatRequest:
    return ChatRequest((SYSTEM, *({"role": "user", "content": text} for text in texts)), max_tokens=max_tokens)


def test_the_turns_of_dialogues_read_what_is_new(network: K2Model, tokenizer: K2Tokenizer) -> None:
    client = _client(network, tokenizer)
    seen: list[tuple[ChatRequest, ChatAnswer]] = []

    def dialog(name: str) -> Dialog:
        messages = [SYSTEM, {"role": "user", "content": f"I am {name}. " * 5}]
        for turn in range(4):
            request = ChatRequest(tuple(messages), max_tokens=6)
            answer = yield request
            seen.append((request, answer))
            assert isinstance(answer, ChatResponse)
            messages += [{"role": "assistant", "content": answer.text}, {"role": "user", "content": f"And {turn}?"}]

    client.converse(dialog(name) for name in ("Ada", "Bob", "Cleo"))
    assert [answer for _, answer in seen] == [_client(network, tokenizer).complete([asked])[0] for asked, _ in seen]
    engine = client._engine
    assert engine is not None
    system = len(encode_prompt(tokenizer, [SYSTEM]))
    whole = sum(len(encode_prompt(tokenizer, asked.messages)) for asked, _ in seen)
    assert whole > 12 * system
    assert engine.read + engine.reused < whole  # an engine for longer dialogues took the first one's place
    assert engine.read < whole / 4
    assert engine.reused > 5 * system


def test_one_engine_answers_until_a_request_is_longer(network: K2Model, tokenizer: K2Tokenizer) -> None:
    client = _client(network, tokenizer)
    lengths = []
    for words in (10, 5, 11, 12, 40, 60, 120):
        request = _asked("fox " * words)
        (answer,) = client.complete([request])
        assert answer == _client(network, tokenizer).complete([request])[0]
        assert client._engine is not None
        lengths.append(client._engine.max_length)
    needed = [len(encode_prompt(tokenizer, _asked("fox " * words).messages)) + 6 for words in (10, 120)]
    assert lengths[0] == lengths[1] == needed[0]
    assert lengths[2] == lengths[3] == needed[0] * 3 // 2
    assert lengths == sorted(lengths)
    assert needed[1] <= lengths[-1] <= min(CONTEXT, needed[1] * 3 // 2)
    assert client.complete([]) == []
    assert client._engine.max_length == lengths[-1]


def test_a_call_that_fails_leaves_nothing_for_the_next(network: K2Model, tokenizer: K2Tokenizer) -> None:
    client = _client(network, tokenizer, rows=1)
    asked = [_asked(text) for text in ("one", "two", "three")]
    inside: list[ChatAnswer] = []

    def stop(index: int, answer: ChatAnswer) -> None:
        inside.extend(client.complete(asked[:1]))  # while the engine is at work
        raise BudgetExceeded("spent")

    with pytest.raises(BudgetExceeded):
        client.complete(asked, stop)
    expected = [_client(network, tokenizer).complete([request])[0] for request in asked]
    assert inside == expected[:1]
    assert client.complete(asked) == expected


def test_long_requests_take_fewer_rows_and_are_answered_alike(
    network: K2Model, tokenizer: K2Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [_asked(f"Say {number}. " * 8) for number in range(6)]
    wanted = _client(network, tokenizer).complete(asked)
    config = network.config
    position = 4 * config.num_hidden_layers * (config.kv_lora_rank + config.qk_rope_head_dim)
    length = max(len(encode_prompt(tokenizer, one.messages)) + one.max_tokens for one in asked)
    for room, rows in ((2 * length + 1, 2), (1, 1), (100 * length, 4)):
        monkeypatch.setattr(cached_model, "CACHE_BYTES", position * room)
        client = _client(network, tokenizer)
        assert client.complete(asked) == wanted
        assert client._engine is not None and client._engine.cached.cache_LSTX.shape[1] == rows
