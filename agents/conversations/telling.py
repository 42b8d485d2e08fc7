"""What the embedded agent says of wishes, of what was done, of fields, and its thoughts; nothing that it can't know."""

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from agents.conversations.agents import Agent
from agents.conversations.finding import Call, Row
from agents.conversations.phrases import be, field_phrase, of_record
from agents.conversations.said import is_said
from agents.conversations.task import Goal
from agents.conversations.words import frame, main_clause, spoken, tidied, upper_first, without_underscores
from agents.worlds.application import Action
from agents.worlds.surface import Surface
from agents.worlds.template import Template

PERSONAL = re.compile(r"\b(I|I'm|I'd|me|my|mine|we|us|our)\b")


class Telling:
    """The words of an agent.

    Args:
        rng: of the agent, which decides with it too.
    """

    def __init__(self, agent: Agent, surface: Surface, rng: Random) -> None:
        self.agent, self.surface, self.app, self.rng = agent, surface, surface.app, rng

    def what(self, goal: Goal, action: Action) -> str:
        """The wish as the agent says it: with as much of what is known as a sentence holds, and no reasons."""
        known = {name: reference.text for name, reference in goal.references.items()}
        for name, value in goal.arguments.items():
            known[name] = spoken(action.parameter(name).type, value, self.rng, self.app.today)
        asks = [(ask, {path[0] for path in ask.paths}) for ask in action.asks if not PERSONAL.search(ask.text)]
        held = [len(names) for _, names in asks if names <= known.keys()]
        able = [ask for ask, names in asks if names <= known.keys() and len(names) == max(held)]
        if not able:
            return action.name.replace("_", " ")
        return tidied(_without_reason(self.rng.choice(able)).fill(lambda path: known[path[0]]))

    def done(self, goal: Goal, action: Action, result: Row, what: str) -> str:
        """What was done, with nothing that the agent can't know."""
        assert action.done is not None
        unknown = False

        def value(path: Sequence[str]) -> Any:
            nonlocal unknown
            known = self._known(goal, action, result, path)
            unknown |= known is None
            return known

        text = upper_first(tidied(action.done.fill(value)))
        if unknown or self.rng.random() < 0.1:
            text = frame("agent", "done", self.rng, what=what)
        for rule in self.app.rules(action.name, "tell"):
            told = result.get(rule.value)
            if told is not None and not is_said(told, [text], self.app.today):
                words = without_underscores(rule.value)
                slots = {"field": words, "Field": upper_first(words), "is": be(words), "value": told}
                text += " " + frame("agent", "told_after", self.rng, **slots)
        return text

    def _known(self, goal: Goal, action: Action, result: Row, path: Sequence[str]) -> Any:
        root, *rest = path
        if root in action.lets and not rest:
            value = result.get(root)
            return without_underscores(value) if isinstance(value, str) else value
        parameter = next((p for p in action.parameters if p.name == root), None)
        if parameter is not None and parameter.type.base != "ref" and not rest:
            value = goal.arguments.get(root, parameter.default)
            return None if value is None else spoken(parameter.type, value, self.rng, self.app.today)
        reference = goal.references.get(root)
        if reference is not None and not rest:
            return reference.text
        if (reference is not None and reference.id == result.get("id")) or (parameter is None and "id" in result):
            name = rest[0] if rest else "id"
            kind = self.app.entities[_entity(self.app.actions[action.name], root)].fields.get(name)
            if len(rest) > 1 or (kind is not None and kind.base == "ref"):
                return None
            value = result.get(name)
            return value if kind is None or value is None else spoken(kind, value, self.rng, self.app.today)
        if reference is not None and rest == ["id"]:
            return reference.id
        return None

    def told(self, entity: str, name: str, value: Any, about: str) -> str:
        """A field of a record as the agent says it."""
        kind = self.app.entities[entity].fields[name]
        phrase = field_phrase(name, kind)
        text = str(value) if kind.numeric else spoken(kind, value, self.rng, self.app.today)
        if kind.numeric and kind.unit and kind.unit.split()[0] not in phrase:
            text += f" {kind.unit}"
        it = of_record(phrase, about)
        slots = {"it": it, "It": upper_first(it), "field": phrase, "is": be(phrase), "value": text}
        return tidied(frame("agent", "told", self.rng, about=about, About=upper_first(about), **slots))

    def thought(self, kind: str, call: Call | None = None, **words: str) -> str:
        if not self.agent.thinks:
            return ""
        tool = self.surface.by_action[call.action].name if call is not None else ""
        about = (call.about if call is not None else "") or "the record"
        slots = {"why": "", **words, "about": about, "tool": tool, "what": main_clause(words.get("what") or about)}
        text = tidied(frame("thoughts", kind, self.rng, **slots))
        return text if tool and text.startswith(tool) else upper_first(text)


def _entity(action: Action, root: str) -> str:
    """The entity that a name in an action's words stands for."""
    return action.refs.get(root, root)


REASON = re.compile(r"([,;] | because of (an? )?|, because )[^{}]*$")


def _without_reason(ask: Template) -> Template:
    """The sentence without what its user gives as a reason, which the agent can't know."""
    shorter = REASON.sub("", ask.text)
    return Template(shorter, ask.paths) if shorter.count("{") == ask.text.count("{") else ask


ADDRESSED = {
    "my": "your", "our": "your", "me": "you", "us": "you", "i": "you", "we": "you", "i'm": "you're", "i am": "you are",
    "i was": "you were", "i'd": "you'd", "we're": "you're", "mine": "yours", "ours": "yours", "myself": "yourself",
}  # fmt: skip


def neutral(text: str) -> str:
    """A wish of the user in the agent's mouth."""
    words = re.compile(rf"\b({'|'.join(sorted(ADDRESSED, key=len, reverse=True))})\b", re.I)
    return words.sub(lambda match: ADDRESSED[match[0].lower()], text).rstrip(".")
