from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.chat.protocol import ChatError, ChatRequest, ChatResponse, OnResponse, request_key
from agents.chat.store import AnswerStore, CachedClient, main


class Counting:
    model = "counting"

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []

    def complete(self, requests: Sequence[ChatRequest], on_response: OnResponse | None = None) -> list[ChatResponse]:
        self.asked += requests
        answers = [ChatResponse(f"n{len(self.asked)}-{place}", completion_tokens=3) for place in range(len(requests))]
        for place, answer in enumerate(answers):
            if on_response is not None:
                on_response(place, answer)
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
