"""The embedded default agent: a planner that follows a gold plan, makes mistakes, and recovers from some.

Because its mistakes are real, filtering by the judge does real work. An agent is a system prompt, a tool set and a
policy; its skill (how often it slips, how often it notices) and its manner of thinking aloud are its own too, so that
thousands of distinct agents differ in what they write and do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.conversations.simulator import DENIED, TIMED_OUT, UNAVAILABLE
from agents.conversations.tasks import Application, PlannedCall
from agents.conversations.users import Script
from agents.conversations.world import NAMES
from agents.tools.spec import READ_ONLY, Action
from k2model.chat.messages import call_id

SLIPS = ("wrong_value", "wrong_id", "missing_argument", "wrong_tool", "skip")
MANNERS = ("brief", "plain", "careful")
COULD_NOT = "I could not do one thing: "
ROLES: dict[str, tuple[Action, ...]] = {  # what an agent in this role may do; all may look
    "clerk": ("update",),
    "editor": ("update", "create"),
    "stock keeper": ("update", "adjust"),
    "archivist": ("delete",),
    "coordinator": ("update", "create", "adjust", "delete"),
}


@dataclass(frozen=True)
class AgentPolicy:
    """Rules that an agent keeps and that stand in its system prompt.

    read_first: it reads a record before it changes it. verify: it reads a record after it changed it.
    patience: how often it repeats a call that failed for a moment.
    """

    read_first: bool = False
    verify: bool = False
    patience: int = 4

    def rules(self) -> str:
        """The rules as they stand in the prompt."""
        rules = []
        if self.read_first:
            rules.append("Read a record before you change it.")
        if self.verify:
            rules.append("Check each change afterwards.")
        if self.patience < 4:
            rules.append(f"Repeat a failed call at most {self.patience} times.")
        return " ".join(rules)


@dataclass(frozen=True)
class Agent:
    """Who acts: a system prompt (its policy's rules stand in it), a tool set and a policy; a skill and a manner."""

    id: str
    system: str
    slip: float
    recover: float
    manner: str
    policy: AgentPolicy = AgentPolicy()
    application: str = ""
    tools: tuple[str, ...] = ()
    author: str = "grammar"  # of the system prompt


def make_agent(number: int, seed: int, apps: Sequence[Application]) -> Agent:
    """The agent with this number; equal for equal arguments."""
    rng = np.random.default_rng([seed, number, 29])
    app = apps[int(rng.integers(len(apps)))]
    own = [app.kinds[k] for k in sorted(rng.choice(len(app.kinds), min(len(app.kinds), 3), replace=False).tolist())]
    role = str(rng.choice(list(ROLES)))
    tools = tuple(
        tool.name
        for tool in app.tools.values()
        if tool.kind in own and (tool.action in READ_ONLY or tool.action in ROLES[role])
    )
    policy = AgentPolicy()
    if rng.random() < 0.5:
        policy = AgentPolicy(bool(rng.random() < 0.6), bool(rng.random() < 0.6), int(rng.integers(1, 5)))
    virtues = ("careful", "quick", "friendly", "exact", "calm", "attentive", "patient", "thorough")
    habits = (
        "Use the tools.",
        "Do only what is asked.",
        "Say when something fails.",
        "Keep answers short.",
        "Ask when a detail is missing.",
        "Never guess an id.",
    )
    chosen = [str(habit) for habit in rng.choice(habits, 1 + int(rng.integers(2)), replace=False)]
    service = app.name.replace("_", " ")
    system = f"You are a {rng.choice(virtues)} {role} of the {service} service. {' '.join([*chosen, policy.rules()])}"
    return Agent(
        f"agent-{number}",
        system.rstrip(),
        float(rng.uniform(0.0, 0.25)),
        float(rng.uniform(0.3, 0.95)),
        str(rng.choice(MANNERS)),
        policy,
        app.name,
        tools,
    )


@dataclass(frozen=True)
class _Step:
    """A call of the plan. read: before a change. do: what the user wants. verify: after it. check: after a time-out."""

    call: PlannedCall
    role: Literal["read", "do", "verify", "check"]
    subject: PlannedCall  # the change that a read, a verification or a check is about


class Planner:
    """A model (see `agents/loop/loop.py`) that works through a script's plan, one call a step.

    It reads what its tools really returned: a refusal, a time-out, an old copy or an empty page changes what it does.
    """

    def __init__(self, agent: Agent, app: Application, script: Script, seed: int, start_index: int = 0) -> None:
        self.agent, self.app, self.script = agent, app, script
        self.rng = np.random.default_rng([seed, 31])
        self.index = start_index  # of the next call of the dialog
        self.known: dict[str, dict[str, Any]] = {}  # records as they were last seen
        self.sums: dict[tuple[str, str], int] = {}  # what a number should be after it was raised
        self._begin(0, ())

    def begin_turn(self, turn: int) -> None:
        """A user's turn was said; its calls become the plan."""
        self._begin(turn, self.script.gold_turns[turn])

    def _begin(self, turn: int, calls: Sequence[PlannedCall]) -> None:
        self.turn = turn
        self.queue: list[_Step] = []
        for call in calls:
            look = self._look_at(call)
            if look is not None and self.agent.policy.read_first and not self._forgets():
                self.queue.append(_Step(look, "read", call))
            self.queue.append(_Step(call, "do", call))
            if look is not None and self.agent.policy.verify and self.app.tools[call.tool].action != "delete":
                self.queue.append(_Step(look, "verify", call))
        self.step: _Step | None = None
        self.tries, self.redone = 0, 0
        self.slipped = False
        self.note = ""  # what the next thought begins with
        self.counts: list[str] = []
        self.gave_up: list[str] = []

    def _look_at(self, call: PlannedCall) -> PlannedCall | None:
        """The call that shows the record which `call` changes, if the agent has a tool for it."""
        tool = self.app.tools[call.tool]
        shows = self.app.by_use.get((tool.kind.slug, "get", None))
        if tool.action in READ_ONLY or "id" not in call.arguments or shows is None:
            return None
        return PlannedCall(shows.name, {"id": call.arguments["id"]}) if shows.name in self.script.task.tools else None

    def _forgets(self) -> bool:
        return bool(self.rng.random() < self.agent.slip / 2)

    def _notices(self) -> bool:
        return bool(self.rng.random() < self.agent.recover)

    def __call__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.turn in self.script.ask_first:
            return {"role": "assistant", "content": "Of course. What exactly should be done?", "reasoning_content": ""}
        if self.step is not None:
            again = self._read(json.loads(str(messages[-1].get("content") or "")))
            if again is not None:
                return again
        while self.queue:
            step = self.queue.pop(0)
            made = self._slip(step.call) if step.role == "do" else step.call
            if made is not None:
                self.step, self.tries = step, 0
                self._expect_sum(step.call)
                return self._act(made, self._thought(step))
        return self._answer()

    def _expect_sum(self, call: PlannedCall) -> None:
        """Notes what an adjustment should come to, where the number before is known."""
        tool, before = self.app.tools[call.tool], self.known.get(str(call.arguments.get("id")))
        if tool.action == "adjust" and tool.field is not None and before is not None:
            self.sums[call.arguments["id"], tool.field] = before[tool.field] + call.arguments["by"]

    def _read(self, result: dict[str, Any]) -> dict[str, Any] | None:
        """Reads the last result; gives the next call where it demands one, or None to go on with the plan."""
        step = self.step
        assert step is not None
        error = str(result.get("error", ""))
        if self.slipped and self.tries < 3 and self._notices():
            self.slipped = False
            self.tries += 1
            return self._act(step.call, f"That failed: {error}. I correct it." if error else "That was not right.")
        if not self.slipped and self.tries < self.agent.policy.patience:
            why = "It was not available. I try again." if error == UNAVAILABLE else ""
            why = "The index was refreshing. I search again." if "refreshing" in result else why
            if result.get("cached") and self._notices():
                why = "This is a cached copy and may be old. I read it again."
            if why:
                self.tries += 1
                return self._act(step.call, why)
        if step.role == "do":
            return self._done(step, result, error)
        if step.role == "check" and result.get("ids"):
            newest = PlannedCall(self._find(step.subject, "get"), {"id": result["ids"][-1]})
            return self._look("check", newest, step.subject, "I look at the newest one.")
        unseen = error == UNAVAILABLE or error.startswith("not run")
        if unseen and step.role == "check":
            self.gave_up.append("the call timed out and I can't tell whether the change was made")
        elif not unseen and step.role != "read" and not self._shows(step.subject, result):
            return self._again(step.subject, "The record does not show the change. I make it again.")
        elif step.role == "check":
            self.note = "The change was made although the call timed out. "
        self._know(result)
        return None

    def _done(self, step: _Step, result: dict[str, Any], error: str) -> dict[str, Any] | None:
        """After a call that the user wants: another one where it timed out, else notes for the answer."""
        tool = self.app.tools[step.call.tool]
        if error == TIMED_OUT:
            return self._after_timeout(step.call)
        if error:
            if not (DENIED in error and self._forgets()):
                self.gave_up.append(error)
            if self.queue and self.queue[0].role == "verify":
                self.queue.pop(0)
        if "count" in result:
            self.counts.append(str(result["count"]))
        if tool.action == "adjust" and tool.field in result:
            self.sums[result["id"], str(tool.field)] = result[tool.field]
        self._know(result)
        return None

    def _know(self, result: dict[str, Any]) -> None:
        if "id" in result:
            self.known[result["id"]] = result

    def _find(self, change: PlannedCall, action: str) -> str:
        """The agent's tool with this action on the same kind of record, or an empty name."""
        tool = self.app.by_use.get((self.app.tools[change.tool].kind.slug, action, None))
        return tool.name if tool is not None and tool.name in self.script.task.tools else ""

    def _after_timeout(self, call: PlannedCall) -> dict[str, Any] | None:
        """Looks whether the change was made, where the agent can; a careless agent just makes it again."""
        tool = self.app.tools[call.tool]
        look = self._look_at(call)
        if tool.action == "create" and self._find(call, "list") and self._find(call, "get"):
            look = PlannedCall(self._find(call, "list"), {})
        if look is None or not self._notices():
            return self._again(call, "It timed out. I try again.")
        if tool.action == "adjust" and (call.arguments["id"], str(tool.field)) not in self.sums:
            self.gave_up.append("the call timed out and I can't tell whether the number was changed")
            return None
        return self._look("check", look, call, "It timed out, but the change may have been made. I look first.")

    def _shows(self, change: PlannedCall, result: dict[str, Any]) -> bool:
        """Whether a look at the record shows that the change was made."""
        tool = self.app.tools[change.tool]
        if tool.action == "delete":
            return "error" in result
        if "error" in result or "ids" in result:
            return False
        if tool.action == "create":
            return all(result.get(name) == wanted for name, wanted in change.arguments.items())
        if tool.action == "adjust":
            return bool(result[str(tool.field)] == self.sums.get((change.arguments["id"], str(tool.field))))
        return bool(result[str(tool.field)] == change.arguments[str(tool.field)])

    def _look(self, role: Literal["check"], call: PlannedCall, subject: PlannedCall, why: str) -> dict[str, Any]:
        self.step, self.tries = _Step(call, role, subject), 0
        return self._act(call, why)

    def _again(self, call: PlannedCall, why: str) -> dict[str, Any] | None:
        """Makes a change again, at most twice in a turn's step."""
        if self.redone >= 2:
            self.gave_up.append("the change does not show")
            return None
        self.redone += 1
        self.step, self.tries = _Step(call, "do", call), 0
        return self._act(call, why)

    def _slip(self, call: PlannedCall) -> PlannedCall | None:
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
                return PlannedCall(str(self.rng.choice(others)), arguments)
            self.slipped = False
        else:
            self.slipped = False
        return PlannedCall(call.tool, arguments)

    def _thought(self, step: _Step) -> str:
        tool = self.app.tools[step.call.tool]
        about = f"the {(tool.field or tool.kind.name).replace('_', ' ')}"
        entity_id = step.call.arguments.get("id", "")
        note, self.note = self.note, ""
        if step.role == "read":
            return f"{note}First I read {entity_id} as it is now."
        if step.role == "verify":
            return f"{note}I check that {entity_id} was changed."
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
            return note + f"{verbs[tool.action]} {about}".capitalize() + "."
        if self.agent.manner == "careful":
            return f"{note}The user wants this done exactly. Next I {verbs[tool.action]} {about} with {tool.name}."
        return f"{note}I {verbs[tool.action]} {about}."

    def _act(self, call: PlannedCall, thought: str) -> dict[str, Any]:
        written = json.dumps(call.arguments, ensure_ascii=False)
        tool_call = {"id": call_id(call.tool, self.index), "type": "function"}
        tool_call |= {"function": {"name": call.tool, "arguments": written}}  # type: ignore[dict-item]
        self.index += 1
        return {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [tool_call]}

    def _answer(self) -> dict[str, Any]:
        parts = [f"The count is {count}." for count in self.counts]
        parts += [f"{COULD_NOT}{reason}." for reason in self.gave_up]
        if len(self.script.gold_turns[self.turn]) > len(self.counts) + len(self.gave_up):
            parts.insert(0, "Done.")
        return {"role": "assistant", "content": " ".join(parts) or "Done.", "reasoning_content": self.note.rstrip()}
