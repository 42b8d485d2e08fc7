"""Coding trajectories: a repository with a real bug, its tests, and an agent that runs, looks, edits and runs again.

The repository is a repair task of the gym: a module, tests that show some of what it must do, and an issue. Wrong edits
are planted as the agent's skill wants; whether the repair holds is decided by running every test, hidden ones too, on
a fresh copy that has only the repaired module.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.conversations.agents import Agent
from agents.conversations.judge import Judgement
from agents.conversations.trajectory import Counted
from agents.loop import loop
from gym.sandbox import Box
from gym.sandbox.workspace import Workspace
from gym.tasksets.repair import MODULE, TESTS, Repair, mutants, repository, source_of
from gym.tasksets.task import Task
from gym.verifiers.result import Status
from k2model.chat.messages import call_id
from k2model.chat.model_json import loads_arguments

RUN = f"python {TESTS}"
SYSTEM = (
    "You are a software engineer in the repository /workspace. Find the cause, make the smallest change, run tests."
)
OPTIONS = loop.Options(max_steps=40, parallel=1)


@dataclass(frozen=True)
class Edit:
    """A replacement of text that occurs once."""

    old: str
    new: str


def _edit(source: str, lines: Sequence[str], first: int, last: int, new: Sequence[str]) -> Edit:
    """Replaces lines [first, last) of source, with as many lines around them as make the text unique."""
    low, high = first, last
    while source.count("\n".join(lines[low:high])) != 1 or low == high:
        low, high = max(0, low - 1), min(len(lines), high + 1)
    return Edit("\n".join(lines[low:high]), "\n".join([*lines[low:first], *new, *lines[last:high]]))


def gold_edit(task: Task) -> tuple[Edit, int]:
    """The edit that undoes the bug, and the line it begins at (from 1)."""
    broken = task.payload["files"][MODULE]
    right = source_of(task.payload["module"])
    ours, theirs = broken.splitlines(), right.splitlines()
    parts = [op for op in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes() if op[0] != "equal"]
    first, last = parts[0][1], parts[-1][2]
    start, end = parts[0][3], parts[-1][4]
    return _edit(broken, ours, first, last, theirs[start:end]), first + 1


def wrong_edit(task: Task, rng: np.random.Generator) -> Edit:
    """An edit that applies and repairs nothing: another change of an expression in the broken module."""
    broken = task.payload["files"][MODULE]
    ours = broken.splitlines()
    for changed, line in mutants(broken, rng):
        theirs = changed.splitlines()
        if len(theirs) == len(ours) and changed != broken and line != task.payload["line"]:
            return _edit(broken, ours, line - 1, line, theirs[line - 1 : line])
    raise RuntimeError(f"{task.id}: no expression to change")


class Coder:
    """A model (see `agents/loop/loop.py`) that repairs: tests, a look, an edit, tests.

    It has an agent's slips and recoveries.

    It reads what its tools really returned: a red run after its edit is what makes it take the edit back.
    """

    def __init__(self, agent: Agent, task: Task, seed: int, shell: bool) -> None:
        self.agent, self.task = agent, task
        self.rng = np.random.default_rng([seed, 43])
        self.right, self.line = gold_edit(task)
        self.plan: list[tuple[str, dict[str, Any], str]] = []
        self._begin(shell)
        self.slipped: Edit | None = None
        self.edited = self.checked = False
        self.tries = 0

    def _begin(self, shell: bool) -> None:
        around = {"path": MODULE, "start": max(1, self.line - 8), "end": self.line + 8}
        look: list[tuple[str, dict[str, Any], str]]
        look = [("view", around, f"The code around line {self.line} decides this.")]
        if self.rng.random() < 0.5:
            look = [("view", {"path": "."}, "First I see which files there are."), *look]
        if shell and self.rng.random() < 0.5:
            grep = {"command": f"grep -n 'def ' {MODULE} | head -20"}
            look = [("bash", grep, "Which functions does the module have?"), *look]
        self.plan = [("bash", {"command": RUN}, "I run the tests to see the failure."), *look]

    def __call__(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if self.plan:
            return self._act(*self.plan.pop(0))
        last = str(messages[-1].get("content") or "")
        if not self.edited:
            return self._change()
        if last.startswith("error:"):
            self.edited = False
            return self._act("view", {"path": MODULE, "start": max(1, self.line - 2), "end": self.line + 2},
                             "The text was not as I wrote it. I look again.")  # fmt: skip
        if not self.checked:
            self.checked = True
            return self._act("bash", {"command": RUN}, "I run the tests again.")
        if ", 0 failed" in last:
            return _say("The bug is repaired and the tests pass.")
        if self.slipped is not None and self.rng.random() < self.agent.recover:
            undo, self.slipped = self.slipped, None
            self.edited = False
            why = "The tests still fail, so that was not the cause. I take the change back."
            return self._act("edit", {"path": MODULE, "old_str": undo.new, "new_str": undo.old}, why)
        return _say("I could not repair it: tests still fail.")

    def _change(self) -> dict[str, Any]:
        """The edit, right or with a planted mistake."""
        self.edited, self.checked = True, False
        self.tries += 1
        edit, why = self.right, "This expression is wrong. I correct it."
        if self.tries <= 2 and self.rng.random() < 2 * self.agent.slip:
            if self.rng.random() < 0.4:
                edit = Edit(f"{edit.old.rstrip()}  # bug", edit.new)
            else:
                self.slipped = edit = wrong_edit(self.task, self.rng)
                why = "Perhaps this expression is the cause. I change it."
        elif self.tries <= 2 and self.rng.random() < self.agent.slip / 2:
            return _say("The bug is repaired and the tests pass.")  # claims without doing
        return self._act("edit", {"path": MODULE, "old_str": edit.old, "new_str": edit.new}, why)

    def _act(self, name: str, arguments: dict[str, Any], thought: str) -> dict[str, Any]:
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": call_id(name, 0), "type": "function", "function": function}  # the loop numbers it
        return {"role": "assistant", "content": "", "reasoning_content": thought, "tool_calls": [call]}


def _say(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "reasoning_content": ""}


@dataclass(frozen=True)
class CodingTrajectory(Counted):
    """The messages, the final files' hash, the patch, and the verdict of the tests."""

    task: Task
    agent: Agent
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    state_hash: str
    patch: str
    verdict: Judgement


def verdict(
    taskset: Repair, task: Task, copy: Workspace, messages: Sequence[Mapping[str, Any]], stop: str
) -> Judgement:
    """Every test, run on a fresh copy with only the module; then whether the answer says what is so."""
    if stop != loop.Stop.ANSWERED:
        return Judgement(False, "no_answer", f"stopped by {stop}")
    result = taskset.score(task, copy.files.get(MODULE, b"").decode("utf-8", "replace"))
    if result.status is Status.VERIFIER_ERROR:
        raise loop.InfrastructureError(result.reason)
    claimed = "tests pass" in str(messages[-1]["content"])
    if result.score != 1.0:
        return Judgement(False, "false_report" if claimed else "tests_fail", result.reason)
    if not claimed:
        return Judgement(False, "false_report", "the answer reports a failure although all tests pass")
    return Judgement(True, "success", "every test passes")


def solve(taskset: Repair, task: Task, agent: Agent, seed: int, box: Box) -> CodingTrajectory:
    """Lets the agent work on the task's repository; equal for equal arguments and sandbox level."""
    copy = Workspace(repository(task), box)
    question = {"role": "user", "content": task.messages[0]["content"]}
    messages = [{"role": "system", "content": SYSTEM}, question]
    run = loop.run(Coder(agent, task, seed, copy.shell), copy.call, messages, copy.tools(), OPTIONS)
    if run.stop is loop.Stop.INFRASTRUCTURE:
        raise loop.InfrastructureError(run.detail)
    judged = verdict(taskset, task, copy, run.messages, run.stop)
    return CodingTrajectory(task, agent, run.messages, copy.tools(), copy.state_hash(), copy.patch(), judged)


def replay(task: Task, messages: Sequence[Mapping[str, Any]], box: Box) -> str:
    """The hash of the files after the calls in `messages`, run again on a new working copy."""
    copy = Workspace(repository(task), box)
    for call in (call for message in messages for call in message.get("tool_calls") or []):
        copy.call(call["function"]["name"], loads_arguments(call["function"]["arguments"]))
    return copy.state_hash()
