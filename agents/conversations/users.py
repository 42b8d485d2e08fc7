"""Users with a wish, a manner and a will of their own, who react to what the agent says.

A state machine over dialogue acts: it opens, answers questions (which record, who he is, yes or no), corrects a slip,
thinks better of a value, refuses, goes on to the next wish, thanks, or leaves when he has had enough. What an agent's
message asks for is read from its words, so a language model can be the agent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from agents.conversations.acts import asks_to_confirm, asks_which, asks_who, is_further, not_there, questions
from agents.conversations.drafting import Habits
from agents.conversations.phrases import argument_words
from agents.conversations.task import Goal, WorldTask
from agents.conversations.words import frame, lower_first, spoken, tidied, upper_first
from agents.worlds.application import Application
from agents.worlds.surface import plural

REFUSED = re.compile(r"\b(not|no|can't|cannot|unable|sorry|failed|impossible)\b|n't\b", re.I)
PERSONAS = ("plain", "polite", "terse", "chatty", "formal", "hesitant", "careless", "fickle", "stepwise")
REGISTERS = ("plain", "polite", "terse", "chatty", "formal")
YES = re.compile(
    r"^\W*(?:(?:hm+|well|ah|oh|fine|great|good|thanks|thank you)\W+)?"
    r"(yes|yep|yeah|yup|sure|correct|right|ok|okay|alright|all right|absolutely|definitely|certainly|exactly|perfect"
    r"|indeed|of course|by all means|go ahead|please do|do it|do so|confirmed|i (?:do )?(?:confirm|agree)|agreed"
    r"|(?:that's|that is|that sounds|sounds|looks|it's|this is)(?: all)? "
    r"(?:fine|good|right|correct|great|ok|okay|perfect|it|what i want)|fine(?: by| with)? ?(?:me)?)\b",
    re.I,
)
NO = re.compile(r"^\W*(no|nope|don't|do not|on second thought, no|hm, no|rather not|better not|leave it)\b", re.I)


def habits_of(persona: str) -> Habits:
    """What a persona adds to a task."""
    plain = Habits(missing=0.06, slip=0.04, change=0.06, refuse=0.06)
    more = {
        "hesitant": replace(plain, missing=0.5),
        "careless": replace(plain, slip=0.3),
        "fickle": replace(plain, change=0.4, refuse=0.3),
    }
    return more.get(persona, plain)


class User(Protocol):
    """Whoever talks to the agent and decides at once what to say.

    Attributes:
        asked: numbers of the goals that his last message added.
    """

    asked: tuple[int, ...]

    def opening(self) -> str: ...

    def reply(self, said: str) -> str | None:
        """His answer to the agent's message; None when he has gone."""


@dataclass
class _State:
    """turn: of the task's turns, told last. slipped, named, settled: goals whose slip was corrected, whose missing
    record was named, whose yes was given or refused."""

    turn: int = -1
    slipped: frozenset[int] = frozenset()
    named: frozenset[int] = frozenset()
    settled: frozenset[int] = frozenset()
    thanked: bool = False


class ScriptedUser:
    """Args:
    persona: of PERSONAS. patience: answers to questions that he did not expect, before he leaves.
    """

    def __init__(self, app: Application, task: WorldTask, persona: str, seed: int, patience: int = 3) -> None:
        self.app, self.task, self.patience = app, task, patience
        self.rng = Random(f"{seed}|user")
        self.register = persona if persona in REGISTERS else self.rng.choice(REGISTERS)
        self.typos = self.rng.random() < 0.06
        self.state = _State()
        self.asked: tuple[int, ...] = ()
        self.act = "open"

    def opening(self) -> str:
        return self._tell_turn()

    def reply(self, said: str) -> str | None:
        self.asked = ()
        if self.act == "leave":
            return None
        answer = self._answer(said)
        if answer is not None:
            return answer
        if self.state.turn + 1 < len(self.task.turns):
            return self._tell_turn(said)
        if not self.state.thanked and self.rng.random() < 0.25:
            self.state.thanked, self.act = True, "thank"
            return frame("user", "thanks_anyway" if REFUSED.search(said) else "thanks", self.rng)
        self.act = "end"
        return None

    # ---- what he says --------------------------------------------------------------------------------------------

    def _tell_turn(self, said: str = "") -> str:
        self.state.turn += 1
        self.asked = self.task.turns[self.state.turn]
        wishes = [self.task.goals[number].says for number in self.asked]
        glad = not REFUSED.search(said) and self.rng.random() < 0.3
        kind = f"open_{self.register}" if self.state.turn == 0 else "next_glad" if glad else "next"
        text = self._framed(kind, wishes[0])
        for wish in wishes[1:]:
            text = text if text[-1] in ".?!" else text + "."
            text += self._framed("join", wish)
        self.act = "open" if self.state.turn == 0 else "add"
        text = re.sub(r"\?\.|\.\.", lambda match: match[0][0], text)
        return _typo(text, self.rng) if self.typos else text

    def _framed(self, kind: str, wish: str) -> str:
        return frame("user", kind, self.rng, x=lower_first(wish), X=upper_first(wish))

    def _answer(self, said: str) -> str | None:
        """His answer where the agent's words want one."""
        goals = [(number, self.task.goals[number]) for number in self._told()]
        for number, goal in goals:
            if goal.slip and number not in self.state.slipped and (goal.slip in said or not_there(said)):
                self.state.slipped |= {number}
                self.act = "correct"
                right = next(r.id for r in goal.references.values() if r.kind == "id")
                return frame("user", "correct_slip", self.rng, right=right, wrong=goal.slip)
        asking = questions(said)
        if not asking:
            return None
        details = self._details(" ".join(asking), goals)
        if details:
            return details
        question = " ".join(part for part in asking if not is_further(part))
        if not question:
            return None
        if asks_to_confirm(question):
            return self._decide(said, goals)
        details = self._details(said, goals)  # `There are several tickets. Could you help me there?`
        if details:
            return details
        self.patience -= 1
        self.act = "unsure" if self.patience >= 0 else "leave"
        return frame("user", self.act, self.rng)

    def _details(self, question: str, goals: Sequence[tuple[int, Goal]]) -> str:
        """Which record he means and who he is, as far as the question asks for it."""
        told: list[str] = []
        for number, goal in goals:
            if not goal.missing or number in self.state.named:
                continue
            entity = self.app.entities[goal.references[goal.missing[0]].entity]
            if asks_which(question, (entity.noun, *entity.also)):
                self.state.named |= {number}
                self.act = "reveal"
                text = goal.references[goal.missing[0]].text
                told.append(frame("user", "reveal", self.rng, x=text, X=upper_first(text)))
                break
        credential = self._credential(question, goals)
        if credential is not None:
            self.act = "identify"
            told.append(credential)
        return " ".join(told)

    def _told(self) -> list[int]:
        return [number for turn in self.task.turns[: self.state.turn + 1] for number in turn]

    def _credential(self, said: str, goals: Sequence[tuple[int, Goal]]) -> str | None:
        for policy in self.app.policies:
            if policy.kind != "identify":
                continue
            if not asks_who(said, policy.value):
                continue
            given = [goal.credential[policy.id] for _, goal in goals if policy.id in goal.credential]
            if given:
                return frame("user", "identify", self.rng, field=policy.value.replace("_", " "), value=given[-1])
        return None

    def _decide(self, said: str, goals: Sequence[tuple[int, Goal]]) -> str:
        """Yes, no, or yes with another value, to the wish that the agent speaks of."""
        low, newest = said.casefold(), self.task.turns[self.state.turn]
        confirmed = [
            (
                sum(r.text.casefold() in low or r.id.casefold() in low for r in goal.references.values()),
                number in newest,
                number not in self.state.settled,
                -number,
            )
            for number, goal in goals
            if goal.kind == "do" and any(self.app.rules(goal.action, "confirm"))
        ]
        if confirmed:
            number = -max(confirmed)[-1]
            goal, first = self.task.goals[number], number not in self.state.settled
            self.state.settled |= {number}
            if goal.expected == "declined":
                self.act = "refuse"
                return frame("user", "refuse", self.rng)
            if goal.corrected and first:
                (name, value), *_ = goal.corrected.items()
                kind = self.app.actions[goal.action].parameter(name).type
                text = argument_words(name, kind, spoken(kind, value, self.rng, self.app.today))
                self.act = "change"
                return tidied(frame("user", "correct_value", self.rng, value=text))
        self.act = "affirm"
        what = self._briefly(goal.action) if confirmed else ""
        if what and self.rng.random() < 0.4:
            return frame("user", "affirm_what", self.rng, what=what)
        return frame("user", "affirm", self.rng)

    def _briefly(self, action: str) -> str:
        """`refund_ticket` → `refund the ticket`; empty for names of another form."""
        verb, _, rest = action.partition("_")
        nouns = [noun for entity in self.app.entities.values() for noun in (entity.noun, plural(entity.noun))]
        what = rest.replace("_", " ")
        return f"{verb} the {what}" if what in nouns else ""


def _typo(text: str, rng: Random) -> str:
    """Two letters of one long word in the wrong order; nothing that holds a value."""
    words = text.split(" ")
    able = [k for k, word in enumerate(words) if re.fullmatch(r"[a-z]{6,}", word)]
    if not able:
        return text
    k = rng.choice(able)
    at = rng.randint(1, len(words[k]) - 3)
    words[k] = words[k][:at] + words[k][at + 1] + words[k][at] + words[k][at + 2 :]
    return " ".join(words)
