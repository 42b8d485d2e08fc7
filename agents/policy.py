"""The embedded default agent: a planner that follows a gold plan, makes mistakes, and recovers from some.

Because its mistakes are real, filtering by the judge does real work. Each agent has a skill (how often it slips, how
often it notices) and a manner of thinking aloud, so that thousands of distinct agents differ in what they write.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.tasks import Application, Call
from agents.users import Script
from agents.world.world import NAMES
from k2model.chat import call_id

SLIPS = ("wrong_value", "wrong_id", "missing_argument", "wrong_tool", "skip")
MANNERS = ("brief", "plain", "careful")


@dataclass(frozen=True)
class Agent:
    """Who acts: a system prompt, a skill and a manner."""

    id: str
    system: str
    slip: float
    recover: float
    manner: str


def make_agent(number: int, seed: int) -> Agent:
    """The agent with this number; equal for equal arguments."""
    rng = np.random.default_rng([seed, number, 29])
    roles = ("assistant", "clerk", "operator", "helper", "agent", "desk assistant", "coordinator", "aide")
    virtues = ("careful", "quick", "friendly", "exact", "calm", "attentive", "patient", "thorough")
    rules = (
        "Use the tools.",
        "Check before you change.",
        "Do only what is asked.",
        "Say when something fails.",
        "Keep answers short.",
        "Ask when a detail is missing.",
        "Never guess an id.",
    )
    chosen = [str(one) for one in rng.choice(rules, 1 + int(rng.integers(2)), replace=False)]
    system = f"You are a {rng.choice(virtues)} {rng.choice(roles)}. {' '.join(chosen)}"
    return Agent(
        f"agent-{number}",
        system,
        float(rng.uniform(0.0, 0.25)),
        float(rng.uniform(0.3, 0.95)),
        str(rng.choice(MANNERS)),
    )


class Planner:
    """A model (see `agents/loop.py`) that works through a script's plan, one call a step."""

    def __init__(self, agent: Agent, app: Application, one: Script, seed: int, start_index: int = 0) -> None:
        self.agent, self.app, self.script = agent, app, one
        self.rng = np.random.default_rng([seed, 31])
        self.index = start_index  # of the next call of the dialog
        self.turn = 0
        self.queue: list[Call] = []
        self.expected: Call | None = None
        self.retried = 0
        self.said: list[str] = []
        self.slipped = False
        self.gave_up: list[str] = []

    def begin_turn(self, turn: int) -> None:
        """A user's turn was said; its calls become the plan."""
        self.turn = turn
        self.queue = list(self.script.gold_turns[turn])
        self.expected, self.retried, self.slipped, self.said, self.gave_up = None, 0, False, [], []

    def __call__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.turn in self.script.ask_first:
            return {"role": "assistant", "content": "Of course. What exactly should be done?", "reasoning_content": ""}
        if self.expected is not None:
            repeated = self._look(str(messages[-1].get("content") or ""))
            if repeated is not None:
                return repeated
        while self.queue:
            call = self.queue.pop(0)
            made = self._slip(call)
            if made is not None:
                self.expected, self.retried = call, 0
                return self._act(made, self._thought(call))
        return self._answer()

    def _look(self, text: str) -> dict[str, Any] | None:
        """Reads the last result; gives another try of the same call, or None to go on."""
        call = self.expected
        assert call is not None
        result = json.loads(text)
        if self.slipped and self.rng.random() < self.agent.recover and self.retried < 3:
            self.slipped = False
            self.retried += 1
            reason = f"That failed: {result['error']}. I correct it." if "error" in result else "That was not right."
            return self._act(call, reason)
        if not self.slipped and self.retried < 4:
            if "temporarily" in result.get("error", ""):
                self.retried += 1
                return self._act(call, "It was not available. I try again.")
            if "refreshing" in result:
                self.retried += 1
                return self._act(call, "The index was refreshing. I search again.")
        if "error" in result:
            self.gave_up.append(str(result["error"]))
        if "count" in result:
            self.said.append(str(result["count"]))
        self.expected = None
        return None

    def _slip(self, call: Call) -> Call | None:
        """The call as the agent makes it; None when it forgets the step."""
        self.slipped = False
        if self.rng.random() >= self.agent.slip:
            return call
        arguments = dict(call.arguments)
        kind = str(self.rng.choice(SLIPS))
        names = [name for name in arguments if name != "id"]
        if kind == "skip":
            return None
        self.slipped = True
        if kind == "wrong_id" and "id" in arguments:
            arguments["id"] = f"{arguments['id']}0"
        elif kind == "wrong_value" and names:
            name = str(self.rng.choice(names))
            old = arguments[name]
            arguments[name] = old + 1 if isinstance(old, int) else str(self.rng.choice([n for n in NAMES if n != old]))
        elif kind == "missing_argument" and len(arguments) > 1:
            del arguments[str(self.rng.choice(list(arguments)))]
        elif kind == "wrong_tool":
            others = [name for name in self.script.task.tools if name != call.tool]
            if others:
                return Call(str(self.rng.choice(others)), arguments)
            self.slipped = False
        else:
            self.slipped = False
        return Call(call.tool, arguments)

    def _thought(self, call: Call) -> str:
        tool = self.app.tools[call.tool]
        about = f"the {(tool.field or tool.kind.name).replace('_', ' ')}"
        verbs = {
            "get": "read",
            "list": "list",
            "search": "find the record by",
            "count": "count by",
            "create": "create",
            "update": "set",
            "adjust": "change",
            "delete": "delete",
            "latest": "find the newest by",
        }
        if self.agent.manner == "brief":
            return f"{verbs[tool.action]} {about}".capitalize() + "."
        if self.agent.manner == "careful":
            return f"The user wants this done exactly. Next I {verbs[tool.action]} {about} with {call.tool}."
        return f"I {verbs[tool.action]} {about}."

    def _act(self, call: Call, thought: str) -> dict[str, Any]:
        written = json.dumps(call.arguments, ensure_ascii=False)
        one = {"id": call_id(call.tool, self.index), "type": "function"}
        one |= {"function": {"name": call.tool, "arguments": written}}  # type: ignore[dict-item]
        self.index += 1
        return {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [one]}

    def _answer(self) -> dict[str, Any]:
        parts = [f"The count is {count}." for count in self.said]
        parts += [f"I could not do one thing: {reason}." for reason in self.gave_up]
        if len(self.script.gold_turns[self.turn]) > len(self.said) + len(self.gave_up):
            parts.insert(0, "Done.")
        return {"role": "assistant", "content": " ".join(parts) or "Done.", "reasoning_content": ""}
