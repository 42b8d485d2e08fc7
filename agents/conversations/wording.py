"""Other words for what users want, by a teacher behind a URL; kept only when their meaning is the same.

A wording must hold every name, number, date and id of its sentence, and the teacher, who sees the wording alone and the
list of what the desk can do, must read the same wish in it. Otherwise the sentence keeps its words.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.chat.protocol import ChatClient, ChatRefusal, ChatRequest
from agents.conversations.task import Goal, WorldTask
from agents.worlds.application import Application

LENGTHS = (0.5, 2.5)  # of the sentence's length in characters
NEEDED = re.compile(r"\"[^\"]+\"|\S*\d\S*|(?<!^)\b[A-Z]\w+")
SAY = (
    "Say the same in other words, as a customer would, in one sentence that could follow after “please”. Keep every "
    "name, number, date and id exactly as it is; add nothing and leave nothing out.\n{text}"
)
READ = (
    "A customer says: please {text}\nWhich of these does he want?\n{actions}\nnone: none of these\n"
    "Answer with its name alone."
)


@dataclass(frozen=True)
class Wish:
    """A wish to be worded: of a task's goal, with what its desk can do."""

    app: Application
    goal: Goal


@dataclass(frozen=True)
class Wording:
    """The words that stay. reason: why the teacher's were not taken, empty when they were."""

    text: str
    reason: str


def wishes(app: Application, task: WorldTask) -> list[Wish]:
    """What of a task can be worded: changes that its desk makes."""
    return [Wish(app, goal) for goal in task.goals if goal.kind == "do"]


def lost(source: str, wording: str) -> str:
    """Why a wording can't have the same meaning by its words alone, or an empty text."""
    if not LENGTHS[0] * len(source) <= len(wording) <= LENGTHS[1] * len(source) or "\n" in wording:
        return "length"
    for part in NEEDED.findall(source):
        if not re.search(rf"(?<!\w){re.escape(part.strip('.,;:?!'))}(?!\w)", wording):
            return "lost"
    numbers, said = re.findall(r"\d+", source), re.findall(r"\d+", wording)
    return "numbers" if sorted(numbers) != sorted(said) else ""


def reword(client: ChatClient, asked: Sequence[Wish], seed: int) -> list[Wording]:
    """For each wish the teacher's words or, where they don't say the same, its own.

    Raises:
        ChatError: no request can be answered.
    """
    answers = client.complete([_request(SAY.format(text=wish.goal.says), wish, seed) for wish in asked])
    texts = ["" if isinstance(answer, ChatRefusal) else _clean(answer.text) for answer in answers]
    reasons = [
        "refused" if isinstance(answer, ChatRefusal) else lost(wish.goal.says, text)
        for wish, text, answer in zip(asked, texts, answers, strict=True)
    ]
    open_ones = [k for k, reason in enumerate(reasons) if not reason]
    read = client.complete([_request(_read(asked[k].app, texts[k]), asked[k], seed) for k in open_ones])
    for k, answer in zip(open_ones, read, strict=True):
        name = "" if isinstance(answer, ChatRefusal) else answer.text.strip().strip("`'\". ")
        reasons[k] = "" if name == asked[k].goal.action else "meaning"
    return [
        Wording(wish.goal.says if reason else text, reason)
        for wish, text, reason in zip(asked, texts, reasons, strict=True)
    ]


def worded(task: WorldTask, wordings: Sequence[Wording]) -> WorldTask:
    """The task with its changes in these words, one for each of `wishes`."""
    left = iter(wordings)
    goals = tuple(replace(goal, says=next(left).text) if goal.kind == "do" else goal for goal in task.goals)
    return replace(task, goals=goals)


def _request(text: str, wish: Wish, seed: int) -> ChatRequest:
    number = int.from_bytes(hashlib.sha256(f"{seed}/{wish.goal.says}".encode()).digest()[:4])
    return ChatRequest(({"role": "user", "content": text},), max_tokens=256, temperature=0.7, seed=number)


def _read(app: Application, text: str) -> str:
    actions = "\n".join(f"{action.name}: {action.does}" for action in app.writes)
    return READ.format(text=text, actions=actions)


def _clean(text: str) -> str:
    text = re.sub(r"^(please|could you|can you)\s+", "", text.strip().strip('"“”').strip(), flags=re.I)
    return (text[:1].lower() + text[1:] if text[1:2].islower() else text).rstrip(".!? ")
