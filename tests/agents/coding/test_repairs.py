"""Coding trajectories judged by tests that really run."""

from collections.abc import Iterator

import pytest

from agents.coding.repairs import CodingTrajectory, gold_edit, replay, solve, verdict
from agents.conversations.agents import Agent
from agents.loop import loop
from gym.sandbox import Sandbox
from gym.sandbox.workspace import Workspace, coding_sandbox
from gym.tasksets.repair import MODULE, TESTS, Repair, repository
from gym.tasksets.task import Task
from k2model.chat.messages import render


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with coding_sandbox(workers=1) as one:
        yield one


@pytest.fixture(scope="module")
def tasks(box: Sandbox) -> tuple[Repair, list[Task]]:
    taskset = Repair(box)
    return taskset, taskset.tasks(3, 5)


def _red_after_an_edit(done: CodingTrajectory) -> bool:
    edited = False
    for message in done.messages:
        edited = edited or any(c["function"]["name"] == "edit" for c in message.get("tool_calls") or [])
        if edited and message["role"] == "tool" and message["content"].endswith("[exit status 1]"):
            return True
    return False


def _agent(slip: float, recover: float = 1.0) -> Agent:
    return Agent("a", "", "", 0, (), slip=slip, recover=recover)


def test_a_repair_is_judged_by_tests_that_run_and_replays(tasks: tuple[Repair, list[Task]], box: Sandbox) -> None:
    taskset, found = tasks
    planted = recovered = 0
    for seed, task in enumerate(found):
        good = solve(taskset, task, _agent(slip=0.0), seed, box)
        assert good.verdict.kept and good.patch.startswith(f"diff --git a/{MODULE}"), good.verdict
        render(good.messages, good.tools)
        assert replay(task, good.messages, box) == good.state_hash
        assert solve(taskset, task, good.agent, seed, box).messages == good.messages
        slips = solve(taskset, task, _agent(slip=0.5), seed, box)
        if _red_after_an_edit(slips):
            planted += 1
            recovered += slips.verdict.kept
        never = solve(taskset, task, _agent(slip=0.5, recover=0.0), seed, box)
        assert never.verdict.kept is not _red_after_an_edit(never) or never.verdict.verdict == "false_report"
    assert planted and recovered == planted


def test_changing_the_tests_repairs_nothing(tasks: tuple[Repair, list[Task]], box: Sandbox) -> None:
    taskset, (task, *_) = tasks
    copy = Workspace(repository(task), box)
    copy.files[TESTS] = b"print('9 passed, 0 failed')\n"
    assert copy.bash("python tests/check.py").startswith("9 passed")
    answer = [{"role": "assistant", "content": "The bug is repaired and the tests pass."}]
    assert verdict(taskset, task, copy, answer, loop.Stop.ANSWERED).verdict == "false_report"
    edit, _ = gold_edit(task)
    copy.edit(MODULE, edit.old, edit.new)
    assert verdict(taskset, task, copy, answer, loop.Stop.ANSWERED).kept
