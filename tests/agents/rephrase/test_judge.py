import json

import pytest

from agents.chat.protocol import ChatAnswer, ChatRefusal, ChatRequest
from agents.rephrase.judge import SCHEMA, judge
from tests.answering import Answering

SOURCE, OUTPUT = "Anna Berg built 3 bridges.", "Three bridges are by Anna Berg, who was tall."


def _says(answers: dict[str, ChatAnswer | str]) -> Answering:
    """Answers by the text that stands first in the request."""

    def answer(request: ChatRequest) -> ChatAnswer | str:
        asked = request.messages[-1]["content"].partition("First text:\n")[2].partition("\n")[0]
        assert request.response_schema == SCHEMA
        return answers[asked]

    return Answering(answer)


def test_both_directions_are_asked_and_what_was_found_is_told() -> None:
    client = _says({SOURCE: '{"facts": []}', OUTPUT: '{"facts": ["she was tall"]}'})
    (verdict,) = judge([("Anna Berg", SOURCE, OUTPUT)], client)
    assert (verdict.lost, verdict.new, verdict.reason) == ((), ("she was tall",), "judge: new")
    assert len(client.asked) == 2 and "Anna Berg" in client.asked[0].messages[-1]["content"]
    (lost,) = judge([("t", SOURCE, OUTPUT)], _says({SOURCE: '{"facts": ["3 bridges"]}', OUTPUT: '{"facts": []}'}))
    assert lost.reason == "judge: lost"
    (fine,) = judge([("t", SOURCE, OUTPUT)], _says({SOURCE: '{"facts": []}', OUTPUT: '{"facts": []}'}))
    assert fine.reason == ""


@pytest.mark.parametrize(
    "said", ["Yes, all is there.", "[]", '{"facts": "none"}', json.dumps({"facts": [1]}), ChatRefusal("refused", "no")]
)
def test_an_answer_that_is_no_verdict_accepts_nothing(said: ChatAnswer | str) -> None:
    (verdict,) = judge([("t", SOURCE, OUTPUT)], _says({SOURCE: '{"facts": []}', OUTPUT: said}))
    assert not verdict.asked and verdict.reason == "judge: no verdict"
