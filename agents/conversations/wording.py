"""Other words for what users say and for what tools do, by a teacher; kept only when nothing needed was lost.

The behaviour of a user is a script; a teacher words its sentences. Each wording is checked against its sentence: ids,
values, fields, kinds and the act itself must be there, and no word may come in that is not known to change nothing. A
sentence without a faithful wording keeps the script's words.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.chat.protocol import ChatAnswer, ChatClient, ChatRefusal, ChatRequest, Message
from agents.conversations.tasks import Application, Subgoal, WorldTask
from agents.conversations.wording_examples import EXAMPLES
from agents.tools.spec import Tool

REFUSED = "refused"  # why there is no candidate at all
LENGTHS = (0.6, 1.8)  # of the source's length in characters
HARMLESS = frozenset(  # words that a wording may add: they name no thing, no number and no act
    "a an the of for to in on at by as from with within and or then so if it its this that these those there here "
    "is are be been should must needs need want wants would like could can may please now me i we my our you your us "
    "have has having get got do does make one single each every any all which whose who what know tell give say gives "
    "given let required wish ask belongs belonging back comes use used using when where value equal equals equal "
    "matching has whichever yet just also thanks thank hello hi ok currently new becomes become afterwards "
    "application records record returned returns return exactly only together their them they".split()
)
ACTS: Mapping[str, str] = {  # words for the same act
    "update": "set sets setting change changes changing changed update updates updated switch put make made should",
    "delete": "delete deletes deleting deleted remove removes removed rid erase discard",
    "adjust": "raise raises raised increase increases increased add adds added go up",
    "count": "many number count counts counting",
    "create": "create creates creating created add adds added register registers",
    "search": "find finds finding search searches look looks lookup",
    "get": "return returns show shows read reads get gets give gives",
    "list": "list lists ids",
    "latest": "return returns largest newest latest",
}
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_NUMBERED = re.compile(r"[a-z]*\d[\w-]*")


@dataclass(frozen=True)
class Sentence:
    """What is reworded.

    form: which worked examples the teacher sees. act: see ACTS. needed: strings that must stay. pairs: (field, value)
    that must stand close together.
    """

    text: str
    form: str
    act: str
    needed: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Wording:
    """The words that stay, and why each candidate of the teacher was not taken (empty: it was faithful)."""

    text: str
    reworded: bool
    reasons: tuple[str, ...]


def of_subgoal(app: Application, goal: Subgoal) -> Sentence:
    """A subgoal's request and what must not be lost of it."""
    needed: list[str] = []
    pairs: list[tuple[str, str]] = []
    for call in goal.calls:
        tool = app.tools[call.tool]
        needed.append(tool.kind.name)
        for name, argument in call.arguments.items():
            value, spoken = str(argument), name.replace("_", " ")
            if value not in goal.request:
                continue  # an id that a search finds
            needed.append(value)
            if name == "by":
                needed += [f"by {value}", str(tool.field).replace("_", " ")]
            elif name != "id":
                needed.append(spoken)
                if tool.action in ("create", "count", "search"):
                    pairs.append((spoken, value))
                elif tool.action == "update":
                    needed.append(f"to {value}")
    act = app.tools[goal.calls[-1].tool].action
    form: str = act
    if "if that is not permitted" in goal.request:
        needed += ["if", "instead"]
        form = "else"
    elif len(goal.calls) > 1:
        form = "found"
    return Sentence(goal.request, form, act, tuple(dict.fromkeys(needed)), tuple(pairs))


def of_tool(tool: Tool) -> Sentence:
    """A tool's description and what must not be lost of it."""
    needed = [tool.kind.name, tool.kind.application.replace("_", " ")]
    if tool.field is not None:
        needed.append(tool.field.replace("_", " "))
    kept = ("Read only", "undone", "below zero", "largest", "other fields", "given", "none")
    needed += [phrase for phrase in kept if phrase in tool.description]
    return Sentence(tool.description, f"tool_{tool.action}", tool.action, tuple(needed))


def lost(source: Sentence, wording: str) -> str:
    """Why a wording is not faithful to its sentence, or an empty text."""
    low = wording.lower()
    before, now = Counter(_words(source.text)), Counter(_words(wording))
    if not LENGTHS[0] * len(source.text) <= len(wording) <= LENGTHS[1] * len(source.text) or "\n" in wording:
        return "length"
    if list(now) == list(before):
        return "copied"
    if any(not re.search(rf"(?<![\w-]){re.escape(phrase.lower())}(?![\w-])", low) for phrase in source.needed):
        return "lost"
    numbers, wording_numbers = _NUMBERED.findall(source.text.lower()), _NUMBERED.findall(low)
    if (
        Counter(numbers) != Counter(wording_numbers)
        or (source.form == "else" and numbers != wording_numbers)
        or set("%$€") & set(wording)
    ):
        return "numbers"
    if any(not re.search(_close(*pair), low) for pair in source.pairs):
        return "pairs"
    acts = set(ACTS[source.act].split())
    if set(now) - set(before) - HARMLESS - acts:
        return "added"
    if not set(now) & acts:
        return "act"
    if any(now[word] > max(1, before[word]) for word in now if word not in HARMLESS):
        return "repeats"
    if source.act == "count" and source.text.endswith("?") and not re.search(r"how many|(what|tell|know).*number", low):
        return "question"
    if low.startswith(("you can", "you may", "i can")):
        return "form"
    return "" if wording[-1:] in tuple(".?!") and '"' not in wording else "form"


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _close(name: str, value: str) -> str:
    return rf"\b{re.escape(name.lower())}\W+(?:(?:is|of|as|be|equal|to|the)\W+){{0,3}}{re.escape(value.lower())}(?!\w)"


SYSTEM = "You say the same in other words. Keep every name, number and id exactly as it is. Add nothing."


def _request(source: Sentence, seed: int) -> ChatRequest:
    messages: list[Message] = [{"role": "system", "content": SYSTEM}]
    for shown, answer in EXAMPLES[source.form]:
        messages += [{"role": "user", "content": shown}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": source.text})
    room = 16 + len(source.text) // 2  # tokens; a wording that needs more is too long
    return ChatRequest(tuple(messages), room, 0.8, 0.95, seed, stop=("\n",), shared=len(messages) - 1)


def reword(
    client: ChatClient,
    sources: Sequence[Sentence],
    seed: int,
    candidates: int = 2,
    on_answer: Callable[[ChatAnswer], None] | None = None,
) -> list[Wording]:
    """For each sentence the first faithful wording among `candidates` of the teacher, else its own words.

    Raises:
        ChatError: no request can be answered.
    """
    requests = []
    for source in sources:
        number = int.from_bytes(hashlib.sha256(f"{seed}/{source.text}".encode()).digest()[:4])
        requests += [_request(source, number + k) for k in range(candidates)]
    told = (lambda index, answer: on_answer(answer)) if on_answer is not None else None
    answers = client.complete(requests, told) if requests else []
    wordings = []
    for index, source in enumerate(sources):
        best, reasons = None, []
        for answer in answers[index * candidates : (index + 1) * candidates]:
            text = "" if isinstance(answer, ChatRefusal) else answer.text.strip()
            reasons.append(REFUSED if isinstance(answer, ChatRefusal) else lost(source, text))
            best = text if best is None and not reasons[-1] else best
        wordings.append(Wording(best or source.text, best is not None, tuple(reasons)))
    return wordings


def worded(task: WorldTask, wordings: Sequence[Wording]) -> WorldTask:
    """The task with its subgoals in these words, one a subgoal."""
    goals = [replace(goal, request=wording.text) for goal, wording in zip(task.subgoals, wordings, strict=True)]
    return replace(task, subgoals=tuple(goals))
