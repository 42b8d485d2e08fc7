"""Applications by a language model, in the format of the authored ones; kept only when everything in them works.

The K2 report's hierarchical evolution (§3.1.1) with a teacher: domain, application, tools. The teacher writes a whole
application; what is wrong with it is told in one line, twice at most, and it writes it again.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, Dialog, Message
from agents.conversations.solved import ENOUGH, solved_share
from agents.worlds.application import Application, ApplicationError
from agents.worlds.expression import ExpressionError
from agents.worlds.reach import reached, wanted
from agents.worlds.reading import FOLDER, parse
from k2model.chat.model_json import ModelJsonError, loads_model_json

REPAIRS = 2
MAX_TOKENS = 8192
EXAMPLE = FOLDER / "bike_workshop.yaml"
FORMAT = FOLDER.parent / "format.md"
_ASK = """Invent a desk of the domain {domain!r}, not one of: {known}.
It is number {number} of several: choose an unusual one.
Answer with the application as one JSON object in exactly this format, nothing else: 3 to 5 entities, 8 to 16 actions
with real verbs, at least half of them with requirements, and 3 to 5 policies of different kinds."""


@dataclass
class Invented:
    """applications: contents of those that work, as `parse` takes them. left_out: how many fell out, by reason.
    refused: domains for which the teacher gave no answer."""

    applications: list[Mapping[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


def invent(client: ChatClient, domains: Sequence[str], count: int, seed: int, known: Sequence[str]) -> Invented:
    """`count` applications in each domain, as far as they work; in the order of the domains.

    Args:
        known: names of applications that there are.

    Raises:
        ChatError: no request can be answered.
    """
    drafts: dict[tuple[int, int], Mapping[str, Any]] = {}
    made = Invented()
    wishes = [(index, number, domain) for index, domain in enumerate(domains) for number in range(count)]

    def keep(key: tuple[int, int]) -> Callable[[Mapping[str, Any]], None]:
        return lambda content: drafts.__setitem__(key, content)

    client.converse(
        _dialog(domain, number, seed + len(domains) * number + index, known, made, keep((index, number)))
        for index, number, domain in wishes
    )
    names = set(known)
    for key in sorted(drafts):
        name = str(drafts[key]["application"])
        if name in names:
            made.left_out["name is taken"] += 1
        else:
            names.add(name)
            made.applications.append(drafts[key])
    return made


def _dialog(
    domain: str, number: int, seed: int, known: Sequence[str], made: Invented, keep: Callable[[Mapping[str, Any]], None]
) -> Dialog:
    example = json.dumps(yaml.load(EXAMPLE.read_text(encoding="utf-8"), yaml.CSafeLoader), default=str)
    text = _ASK.format(domain=domain, known=", ".join(known), number=number + 1)
    messages: list[Message] = [
        {"role": "system", "content": f"{FORMAT.read_text(encoding='utf-8')}\n\nAn example, as JSON:\n{example}"},
        {"role": "user", "content": text},
    ]
    for repairs in range(REPAIRS + 1):
        answer: ChatAnswer = yield ChatRequest(tuple(messages), MAX_TOKENS, temperature=0.9, seed=seed)
        if isinstance(answer, ChatRefusal):
            made.refused.append(domain)
            return
        content, problem, reason = check(answer.text, domain)
        if content is not None:
            keep(content)
            return
        if repairs == REPAIRS:
            made.left_out[reason] += 1
            return
        again = f"That does not work: {problem}. Write the whole application again, as one JSON object."
        messages += [{"role": "assistant", "content": answer.text}, {"role": "user", "content": again}]


def check(text: str, domain: str) -> tuple[Mapping[str, Any] | None, str, str]:
    """(the application's content or None, what is wrong with it in one line, the kind of reason)."""
    try:
        content = loads_model_json(text)
        app: Application = parse(content)
    except ModelJsonError as error:
        return None, f"it is no JSON object: {error}", "no JSON"
    except ApplicationError as error:
        return None, str(error), "does not load"
    if app.domain != domain:
        return None, f"its domain is {app.domain!r}, not {domain!r}", "other domain"
    try:
        counts = reached(app)
        never = [what for what in wanted(app) if not counts[what]]
        if never:
            return None, f"in forty worlds this never happened: {', '.join(never)}", "not reached"
        share = solved_share(app)
    except ExpressionError as error:
        return None, str(error), "a value can't be computed"
    if share < ENOUGH:
        return None, f"only {share:.0%} of the tasks drawn from it can be solved", "not solved"
    return content, "", ""
