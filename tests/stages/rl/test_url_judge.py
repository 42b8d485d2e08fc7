"""A judge behind a URL: both orders, and every verdict that is missing is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from agents.chat.endpoint import EndpointOptions
from agents.chat.losses import CountingClient, Losses
from agents.chat.open import open_client
from agents.chat.protocol import ChatAnswer, ChatError, ChatRefusal, ChatRequest
from bench.mock_endpoint import Action, MockEndpoint
from stages.dial import parse_params
from stages.harness.errors import InputError
from stages.posttraining.comparison import CORE, Comparison
from stages.rl.bradley_terry import rewards
from stages.rl.held_critic import open_measures
from stages.rl.pairwise import win_matrix
from stages.rl.url_judge import UrlJudge
from tests.answering import Answering
from tests.stages.test_dial import _default

ANSWERS = ["Tea, at noon, with some milk.", "Tea.", "Tea at noon."]


def _judge(answer: Any, max_share: float = 1.0) -> UrlJudge:
    return UrlJudge(CountingClient(Answering(answer), Losses(max_share)))


def _shown(request: ChatRequest) -> tuple[str, str]:
    text = str(request.messages[-1]["content"])
    return tuple(text.split(f"<answer_{place}>\n")[1].split(f"\n</answer_{place}>")[0] for place in "ab")  # type: ignore[return-value]


def _shorter(request: ChatRequest) -> str:
    first, second = _shown(request)
    label = "A" if len(first) < len(second) else "B" if len(first) > len(second) else "C"
    return f"[[A]] would be wrong to say at once. One is shorter.\n[[{label}]]"


def test_each_pair_is_asked_in_both_orders_with_all_rubrics() -> None:
    judge = _judge(_shorter)
    wins = win_matrix("When is tea?", ANSWERS, "names the time", judge)
    assert wins.tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    asked = judge.client.client.asked  # type: ignore[attr-defined]
    assert {_shown(one) for one in asked} == {(a, b) for a in ANSWERS for b in ANSWERS if a != b}
    assert all("names the time" in one.messages[1]["content"] for one in asked)
    assert all(rubric in one.messages[0]["content"] for one in asked for rubric in CORE)


def test_a_liking_for_the_first_place_cancels_and_a_tie_is_a_tie() -> None:
    for text in ("[[A]]", "[[ B ]]", "[[C]]"):
        assert rewards(win_matrix("q", ANSWERS, "r", _judge(lambda request, text=text: text))) == pytest.approx(
            [0.5] * 3
        )


def test_a_failed_request_is_counted_and_its_pair_is_not_played() -> None:
    def answer(request: ChatRequest) -> ChatAnswer | str:
        return ChatRefusal("failed", "time-out") if _shown(request) == (ANSWERS[0], ANSWERS[1]) else _shorter(request)

    judge = _judge(answer)
    wins = win_matrix("q", ANSWERS, "r", judge)
    assert wins.tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert judge.client.losses.line() == "1 of 6 requests got no answer (1 × time-out)"


def test_a_verdict_without_a_label_is_counted_too() -> None:
    judge = _judge(lambda request: "Both have merits.")
    assert judge([Comparison("q", "a", "b")]) == [None]
    assert judge.client.losses.reasons == {"a verdict without a label": 1}
    assert open_measures(judge, 6, 0) == {"held_critic_missing": 1.0}


@pytest.mark.parametrize("answer", [ChatRefusal("failed", "time-out"), "Both have merits."])
def test_more_missing_verdicts_than_the_share_end_the_run(answer: ChatAnswer | str) -> None:
    judge = _judge(lambda request: answer, max_share=0.2)
    with pytest.raises(ChatError, match=r"^9 of 40 requests got no answer .*; max_failed_share is 0.2$"):
        judge([Comparison("q", str(k), "b") for k in range(40)])


def test_a_real_endpoint_judges_and_what_it_said_is_never_asked_again(tmp_path: Path) -> None:
    def behave(body: dict[str, Any], before: int) -> Action:
        request = ChatRequest(tuple(body["messages"]))
        if _shown(request)[0] == ANSWERS[2]:
            return Action(status=400, raw=b'{"error": {"message": "filtered", "code": "content_filter"}}')
        choice = {"index": 0, "message": {"role": "assistant", "content": _shorter(request)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return Action(raw=json.dumps({"choices": [choice], "usage": usage}).encode())

    with MockEndpoint(behave) as server:
        options = EndpointOptions(concurrency=4, backoff_s=0.01, timeout_s=5.0, retries=1)
        for _ in range(2):
            judge = UrlJudge(open_client(f"{server.url}#mock", store=tmp_path / "answers.sqlite", endpoint=options))
            wins = win_matrix("q", ANSWERS, "r", judge)
            assert wins.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
            assert judge.client.losses.failed == 2
        assert max(server.asked.values()) == 1


@pytest.mark.parametrize("spec", ["embedded", "http://127.0.0.1:9/v1"])
def test_a_judge_that_is_neither_self_nor_a_named_model_is_one_line(spec: str) -> None:
    params = _default()
    params["rl"]["critic"]["judge"] = spec
    with pytest.raises(InputError, match="rl.*judge"):
        parse_params(params)
    params["rl"]["critic"]["judge"] = "http://127.0.0.1:9/v1#judge"
    parse_params(params)
