from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from agents.chat.protocol import (
    ChatAnswer,
    ChatError,
    ChatRefusal,
    ChatRequest,
    ChatResponse,
    Dialog,
    OnAnswer,
    converse_in_rounds,
    request_key,
)
from agents.chat.store import AnswerStore, CachedClient, main


class Counting:
    model = "counting"

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        self.asked += requests
        answers: list[ChatAnswer] = [
            ChatResponse(f"n{len(self.asked)}-{place}", completion_tokens=3) for place in range(len(requests))
        ]
        for place, answer in enumerate(answers):
            if on_answer is not None:
                on_answer(place, answer)
        return answers

    def fits(self, request: ChatRequest) -> bool:
        return True

    def converse(self, dialogs: Iterable[Dialog]) -> None:
        converse_in_rounds(self, dialogs, 4)


class Refusing(Counting):
    """Refuses what holds `bad`, fails at what holds `down`."""

    def complete(self, requests: Sequence[ChatRequest], on_answer: OnAnswer | None = None) -> list[ChatAnswer]:
        self.asked += requests
        answers: list[ChatAnswer] = []
        for place, request in enumerate(requests):
            text = str(request.messages[-1]["content"])
            kind: Literal["refused", "failed"] = "failed" if "down" in text else "refused"
            refusal = ChatRefusal(kind, "status 400: no")
            answers.append(refusal if "bad" in text or "down" in text else ChatResponse(text))
            if on_answer is not None:
                on_answer(place, answers[-1])
        return answers


def _request(text: str, **changes: object) -> ChatRequest:
    return replace(ChatRequest(({"role": "user", "content": text},)), **changes)  # type: ignore[arg-type]


def test_equal_requests_are_asked_once_in_a_batch_and_over_runs(tmp_path: Path) -> None:
    inner = Counting()
    requests = [_request("a"), _request("b"), _request("a"), _request("a", seed=1)]
    seen: list[int] = []
    client = CachedClient(inner, AnswerStore(tmp_path / "s.sqlite"))
    first = client.complete(requests, lambda place, answer: seen.append(place))
    assert len(inner.asked) == 3 and sorted(seen) == [0, 1, 2, 3]
    assert first[0].text == first[2].text and [answer.cached for answer in first] == [False, False, True, False]
    second = CachedClient(Counting(), AnswerStore(tmp_path / "s.sqlite")).complete(requests)
    assert second == first and all(answer.cached for answer in second)


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"temperature": 0.5}, {"max_tokens": 9}, {"top_p": 0.9}, {"stop": ("x",)}, {"response_schema": {}}],
)
def test_every_parameter_is_part_of_the_key(change: dict[str, object]) -> None:
    assert request_key("m", _request("a")) != request_key("m", _request("a", **change))
    assert request_key("m", _request("a")) != request_key("other", _request("a"))
    assert request_key("m", _request("a")) == request_key("m", _request("a", shared=1))


def test_all_fields_come_back(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "s.sqlite")
    answer = ChatResponse("té", "why", ({"id": "x"},), 3, 4, "tool_calls")
    store.put("k", "m", answer)
    store.put("k", "m", ChatResponse("another"))
    assert store.get("k") == answer
    assert store.get("other") is None


def test_a_refusal_is_kept_and_asked_again_only_when_it_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.sqlite"
    requests = [_request("a"), _request("bad"), _request("down")]
    first = CachedClient(Refusing(), AnswerStore(path)).complete(requests)
    inner = Refusing()
    second = CachedClient(inner, AnswerStore(path)).complete(requests)
    assert first == second and inner.asked == [requests[2]], "what failed may pass the next time"
    monkeypatch.setattr("sys.argv", ["store", str(path), "--forget-refusals"])
    main()
    assert capsys.readouterr().out.startswith("answers: 1 refusals forgotten\n")
    third = Counting()
    answers = CachedClient(third, AnswerStore(path)).complete(requests)
    assert third.asked == requests[1:] and all(isinstance(answer, ChatResponse) for answer in answers)


def test_an_answer_of_another_store_counts_more_than_a_refusal(tmp_path: Path) -> None:
    one, two = AnswerStore(tmp_path / "one.sqlite"), AnswerStore(tmp_path / "two.sqlite")
    CachedClient(Refusing(), one).complete([_request("bad"), _request("bad too")])
    CachedClient(Counting(), two).complete([_request("bad")])
    one.take(tmp_path / "two.sqlite")
    inner = Counting()
    answers = CachedClient(inner, one).complete([_request("bad"), _request("bad too")])
    assert isinstance(answers[0], ChatResponse) and isinstance(answers[1], ChatRefusal) and not inner.asked


def test_dialogs_are_told_what_the_store_keeps(tmp_path: Path) -> None:
    def dialog(told: list[ChatAnswer]) -> Dialog:
        told.append((yield _request("a")))
        told.append((yield _request("bad")))

    inner, path = Refusing(), tmp_path / "s.sqlite"
    first: list[ChatAnswer] = []
    CachedClient(inner, AnswerStore(path)).converse([dialog(first), dialog(first)])
    again: list[ChatAnswer] = []
    other = Refusing()
    CachedClient(other, AnswerStore(path)).converse([dialog(again)])
    assert len(first) == 4 and again == [ChatResponse("a"), ChatRefusal("refused", "status 400: no")]
    assert not other.asked and all(answer.cached for answer in again)


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.write_text("this is no database" * 100)
    with pytest.raises(ChatError, match=r"s\.sqlite"):
        AnswerStore(path)


def test_stores_that_were_filled_apart_are_united(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [_request("a"), _request("b"), _request("c")]
    one, two, into = (tmp_path / f"{name}.sqlite" for name in ("one", "two", "into"))
    first = CachedClient(Counting(), AnswerStore(one)).complete(requests[:2])
    CachedClient(Counting(), AnswerStore(two)).complete(requests[1:])
    monkeypatch.setattr("sys.argv", ["store", str(into), str(one), str(two)])
    main()
    assert capsys.readouterr().out == f"answers: 3 new of 3 in {into}\n"
    inner = Counting()
    both = CachedClient(inner, AnswerStore(into)).complete(requests)
    assert not inner.asked and [one.text for one in both[:2]] == [one.text for one in first], "the first answer stays"
    monkeypatch.setattr("sys.argv", ["store", str(into), str(tmp_path / "none.sqlite")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "none.sqlite: no such store" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_named_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nowhere.sqlite"
    monkeypatch.setattr("sys.argv", ["store", str(path), "--forget-refusals"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert (stopped.value.code, capsys.readouterr().err) == (2, f"answers: {path}: no such store\n")
    assert not path.exists()
