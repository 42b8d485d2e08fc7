"""Coding sessions on repair tasks: a programmer, scripted or a model, works in a copy and is judged by hidden tests.

with open_project(project, store) as box:
    sessions = CodingSessions(project, box)
    done = sessions.solve(task, agent, seed)
    done.verdict.kept
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.chat.protocol import ChatClient, Dialog
from agents.coding.expert import Expert
from agents.conversations.agents import Agent
from agents.conversations.judge import Judgement
from agents.conversations.llm_agent import Acting, led
from agents.conversations.trajectory import Counted
from agents.loop import loop
from gym.repositories.grading import grade
from gym.repositories.project import Project
from gym.repositories.solving import working_copy
from gym.repositories.task import RepairTask
from gym.sandbox import Box
from gym.sandbox.workspace import Workspace
from gym.verifiers.result import Status
from k2model.chat.model_json import loads_arguments

SYSTEM = (
    "You are a software engineer. The repository is the current folder, /workspace. Find the cause of the issue, make "
    "the smallest change to the source and run the tests."
)
OPTIONS = loop.Options(max_steps=60, parallel=1)  # calls of one step see each other's changes
_OWNS_UP = re.compile(
    r"\b(?:I|we) (?:could not|couldn't|can't|cannot|can not|was not able|wasn't able|am unable|was unable|"
    r"did not (?:find|manage|succeed)|didn't (?:find|manage|succeed)|failed to)\b"
    r"|\b(?:is|are) (?:not|still not|not yet) (?:repaired|fixed|solved|resolved)\b|\bstill (?:fails?|wrong|broken)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CodingTrajectory(Counted):
    """The messages, the final files' hash, the patch, and the verdict of the tests."""

    task: RepairTask
    agent: Agent
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    state_hash: str
    patch: str
    verdict: Judgement


def opening(task: RepairTask) -> list[dict[str, Any]]:
    """What the programmer is told."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task.issue}]


class CodingSessions:
    """Sessions on tasks of one project; its methods may be called from several threads.

    Args:
        box: a sandbox of the project (`gym.repositories.libraries.open_project`, which lets no copy of it pass).
    """

    def __init__(self, project: Project, box: Box) -> None:
        self.project, self.box = project, box

    def solve(self, task: RepairTask, agent: Agent, seed: int) -> CodingTrajectory:
        """Lets the scripted programmer work on the task; equal for equal arguments and sandbox level.

        Raises:
            InfrastructureError: the sandbox failed.
        """
        copy = working_copy(self.project, task, self.box)
        expert = Expert(self.project, task, copy.start, agent, seed, shell=copy.shell)
        run = loop.run(expert, copy.call, opening(task), copy.tools(), OPTIONS)
        return self.ended(task, agent, copy, run)

    def replay(self, task: RepairTask, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
        """(hash of the files, tool results) of the calls in `messages`, run again in a new working copy."""
        copy = working_copy(self.project, task, self.box)
        outputs = {m["tool_call_id"]: str(m["content"]) for m in messages if m["role"] == "tool"}
        results = []
        for call in (call for message in messages for call in message.get("tool_calls") or []):
            if outputs[call["id"]].startswith(loop.NOT_RUN):
                results.append(outputs[call["id"]])
                continue
            text, _ = copy.call(call["function"]["name"], loads_arguments(call["function"]["arguments"]))
            results.append(text)
        return copy.state_hash(), results

    def ended(self, task: RepairTask, agent: Agent, copy: Workspace, run: loop.Run) -> CodingTrajectory:
        """The session of a run that has come to its end in a working copy.

        Raises:
            InfrastructureError: the sandbox or the model's server failed.
        """
        if run.stop is loop.Stop.INFRASTRUCTURE:
            raise loop.InfrastructureError(run.detail)
        judged = self.verdict(task, copy.files, run)
        return CodingTrajectory(task, agent, run.messages, copy.tools(), copy.state_hash(), copy.patch(), judged)

    def verdict(self, task: RepairTask, files: Mapping[str, bytes], run: loop.Run) -> Judgement:
        """The hidden tests' verdict on the final files, then whether the answer says what is so.

        Raises:
            InfrastructureError: the tests could not be run.
        """
        if run.stop is not loop.Stop.ANSWERED:
            return Judgement(False, "no_answer", f"stopped by {run.stop}{f': {run.detail}' if run.detail else ''}")
        if not run.answer.strip():
            return Judgement(False, "no_answer", "an empty answer")
        result = grade(self.box, self.project, task, files)
        if result.status is Status.VERIFIER_ERROR:
            raise loop.InfrastructureError(result.reason)
        owns_up = _OWNS_UP.search(run.answer) is not None
        if result.score == 1.0 and not owns_up:
            return Judgement(True, "success", result.reason)
        if result.score == 1.0:
            return Judgement(False, "false_report", "the answer reports a failure although every test passes")
        if not owns_up:
            return Judgement(False, "false_report", f"the answer claims a repair: {result.reason}")
        kind = "not_changed" if result.status is Status.NO_ANSWER else "tests_fail"
        return Judgement(False, kind, result.reason)


@dataclass(frozen=True)
class Case:
    """Who works on which task; the seed is of the model's turns."""

    sessions: CodingSessions
    task: RepairTask
    agent: Agent
    seed: int


def act(
    client: ChatClient, cases: Iterable[Case], acting: Acting, on_done: Callable[[int, CodingTrajectory], None]
) -> None:
    """Lets a model work, on as many tasks at once as the client asks at once; commands and tests run one by one.

    Args:
        cases: taken when there is room for another one.
        on_done: called in the calling thread with (index of the case, its session) when it has ended.

    Raises:
        ChatError: no request can be answered; what was answered before is in the client's store.
        InfrastructureError: the sandbox failed, or the model's server did at every try.
    """

    def dialog(index: int, case: Case) -> Dialog:
        copy = working_copy(case.sessions.project, case.task, case.sessions.box)
        asking = loop.steps(copy.call, opening(case.task), acting.options(), tools=copy.tools())
        run = yield from led(client, asking, copy.tools(), acting, case.seed)
        on_done(index, case.sessions.ended(case.task, case.agent, copy, run))

    client.converse(dialog(index, case) for index, case in enumerate(cases))
