"""A model as judge of fidelity: does each fact of one text stand in the other, both ways?

Asked apart in each direction, since a judge that is asked for both tends to find one. Its answer is held to a schema,
so it lists what is wrong; a text without a verdict is not accepted.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest

SYSTEM = (
    "You compare two texts. List the facts of the first that the second does not state, or states with another name, "
    "number, unit, date, negation, comparison or direction, or with who did what to whom turned around. Other words, "
    "another order, another form (questions, a table, notes, a conversation) and another language are no difference, "
    "and headings and questions state nothing. Quote each fact shortly; when every fact stands in the second, the list "
    "is empty."
)
SCHEMA = {
    "type": "object",
    "properties": {"facts": {"type": "array", "items": {"type": "string"}}},
    "required": ["facts"],
    "additionalProperties": False,
}
NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Verdict:
    """What is lost of the source and what is new in the rephrasing; `reason` is '' where neither is.

    asked: False where the judge gave no verdict.
    """

    lost: tuple[str, ...]
    new: tuple[str, ...]
    asked: bool = True

    @property
    def reason(self) -> str:
        if not self.asked:
            return f"judge: {NO_VERDICT}"
        return "judge: lost" if self.lost else "judge: new" if self.new else ""


def requests(title: str, source: str, output: str) -> tuple[ChatRequest, ChatRequest]:
    """(what of the source is missing, what of the rephrasing the source does not say)."""

    def request(first: str, second: str) -> ChatRequest:
        user = f"Both are about: {title}\n\nFirst text:\n{first}\n\nSecond text:\n{second}"
        messages = ({"role": "system", "content": SYSTEM}, {"role": "user", "content": user})
        return ChatRequest(messages, max_tokens=400, response_schema=SCHEMA, shared=1)

    return request(source, output), request(output, source)


def judge(
    pairs: Sequence[tuple[str, str, str]],
    client: ChatClient,
    on_answer: Callable[[ChatAnswer], None] = lambda answer: None,
) -> list[Verdict]:
    """The verdicts on (title, source, rephrasing).

    Raises:
        ChatError: no request can be answered.
    """
    asked = [request for pair in pairs for request in requests(*pair)]
    answers = client.complete(asked, lambda _, answer: on_answer(answer))
    return [_verdict(*answers[at : at + 2]) for at in range(0, len(answers), 2)]


def _verdict(lost: ChatAnswer, new: ChatAnswer) -> Verdict:
    missing, added = _facts(lost), _facts(new)
    if missing is None or added is None:
        return Verdict((), (), asked=False)
    return Verdict(missing, added)


def _facts(answer: ChatAnswer) -> tuple[str, ...] | None:
    """The list of an answer; None for a refusal and for what is no such list, as of a server that ignores schemas."""
    if isinstance(answer, ChatRefusal):
        return None
    try:
        value = json.loads(answer.text)
    except ValueError:
        return None
    facts = value.get("facts") if isinstance(value, dict) else None
    if not isinstance(facts, list) or not all(isinstance(fact, str) for fact in facts):
        return None
    return tuple(facts)
