"""Working copies in a sandbox, and coding trajectories judged by tests that really run."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.coding.repairs import CodingTrajectory, gold_edit, replay, solve, verdict
from agents.conversations.agents import Agent
from agents.loop import loop
from gym.sandbox import Sandbox, open_sandbox
from gym.sandbox.workspace import LIMITS, Workspace, coding_sandbox
from gym.tasksets.repair import MODULE, TESTS, Repair, repository
from gym.tasksets.task import Task
from k2model.chat.messages import render

FILES = {
    "app.py": b"print(1)\n",
    "lib/two.py": b"x = 2",
    "run.sh": b"#!/bin/sh\necho hi > out.txt\n",
    ".git/HEAD": b"x",
}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with coding_sandbox(workers=1) as one:
        yield one


@pytest.fixture(scope="module")
def tasks(box: Sandbox) -> tuple[Repair, list[Task]]:
    taskset = Repair(box)
    return taskset, taskset.tasks(3, 5)


def test_commands_really_run_and_their_changes_stay_in_the_copy(box: Sandbox, tmp_path: Path) -> None:
    copy = Workspace(FILES, box)
    assert ".git/HEAD" not in copy.files
    assert copy.call("bash", {"command": "python app.py"}) == ("1\n[exit status 0]", False)
    wrote = "import os; open('lib/new.txt', 'w').write('a\\nb'); os.remove('run.sh'); raise ValueError(7)"
    text, error = copy.call("bash", {"command": f'python -c "{wrote}"'})
    assert not error and text.endswith("ValueError: 7\n[exit status 1]") and 'File "<string>", line 1' in text
    assert copy.files["lib/new.txt"] == b"a\nb" and "run.sh" not in copy.files
    assert copy.call("edit", {"path": "lib/two.py", "old_str": "2", "new_str": "3\ny = 4"}) == (
        "changed lib/two.py",
        False,
    )
    assert copy.call("bash", {"command": "python -c 'from lib.two import *; print(x + y)'"})[0].startswith("7\n")
    assert copy.changed == ["lib/new.txt", "lib/two.py", "run.sh"]
    for name, content in copy.start.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    subprocess.run(["git", "apply", "-"], input=copy.patch().encode(), cwd=tmp_path, check=True)
    there = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert there == copy.files
    assert copy.state_hash() == Workspace(there, box).state_hash() != Workspace(copy.start, box).state_hash()


def test_a_shell_where_the_sandbox_has_one_and_python_alone_where_not(box: Sandbox) -> None:
    if box.level != "fork":
        copy = Workspace(FILES, box)
        text, _ = copy.call("bash", {"command": "./run.sh && cat out.txt | tr a-z A-Z; exit 4"})
        assert text == "HI\n[exit status 4]" and copy.files["out.txt"] == b"hi\n"
    with open_sandbox("fork", workers=1) as small:
        copy = Workspace(FILES, small)
        assert "starts no programs" in copy.call("bash", {"command": "./run.sh"})[0]
        assert copy.call("bash", {"command": "python lib/../app.py"})[0].startswith("1\n")
        assert "no other program" in copy.tools()[0]["function"]["description"]


def test_what_a_caller_does_wrong_is_told_and_a_command_that_hangs_is_ended(box: Sandbox) -> None:
    copy = Workspace(FILES, box, limits=replace(LIMITS, wall_s=6.0))
    for name, arguments, wanted in (
        ("sed", {}, "unknown tool"),
        ("edit", {"path": "app.py"}, "invalid arguments"),
        ("edit", {"path": "app.py", "old_str": "zzz", "new_str": ""}, "occurs 0 times"),
        ("edit", {"path": "app.py", "old_str": "", "new_str": ""}, "there already"),
        ("edit", {"path": "../x", "old_str": "", "new_str": ""}, "can't write"),
        ("view", {"path": "nothing"}, "no file"),
        ("view", {"path": "app.py", "start": 9}, "has 1 lines"),
    ):
        text, error = copy.call(name, arguments)
        assert error and wanted in text, (name, arguments, text)
    assert copy.call("view", {"path": "/workspace/app.py"}) == ("    1 print(1)", False)
    assert copy.call("view", {"path": "."})[0].splitlines() == ["app.py", "lib/two.py", "run.sh"]
    text, _ = copy.call("bash", {"command": "python -c 'import time; print(5, flush=True); time.sleep(60)'"})
    assert text.startswith("5\n") and "timed out" in text
    assert copy.files == copy.start


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
