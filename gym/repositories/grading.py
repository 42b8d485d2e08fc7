"""Whether a repair is one: its code in a fresh tree, judged by tests that it never saw and could not touch.

A repaired file shares its process with pytest there. What speaks against a forged pass, in the order it is asked:
only files of the project's code are taken over; no new word by which code reaches its judge; every listed test must
have passed by name in records that carry a secret word; tests turned into their opposite, under the same names, must
fail; and a snippet of the issue must print the right value in a process without tests.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gym.repositories.canaries import Canary, canaries, changed
from gym.repositories.project import Project
from gym.repositories.refusals import new_words
from gym.repositories.snippets import run_snippets
from gym.repositories.suite import SuiteRun, run_suite
from gym.repositories.task import RepairTask, apply_edits
from gym.sandbox import Box, Limits, SandboxError
from gym.verifiers.result import Result, Status

LIMITS = Limits(cpu_s=60.0, wall_s=300.0, memory_mb=2048, file_mb=64, processes=64)
CANARIES = 4
CASES = 10  # of a function with parameters
AGAIN = 40  # tests that must pass beside the canaries
# A sandbox has pytest loaded already: code that asks whether it is tested is told no where it isn't.
_UNTESTED = """import sys
for name in [name for name in sys.modules if name.partition(".")[0] in ("pytest", "_pytest")]:
    del sys.modules[name]
"""


def grade(box: Box, project: Project, task: RepairTask, repaired: Mapping[str, bytes]) -> Result:
    """1.0 for a repair after which every test of the task passes, else 0.0; `no_answer` where no code was changed.

    Args:
        box: of the project (`open_project`).
        repaired: the solver's files. Only those of the project's code count; new files, tests and settings are the
            project's own here, whatever the solver made of them.

    Raises:
        ValueError: the task is of another project.
    """
    if (task.project, task.version) != (project.name, project.version):
        raise ValueError(f"task {task.id} is of {task.project} {task.version}, not {project.name} {project.version}")
    broken = apply_edits(project.files, task.edits)
    mine = {path: repaired[path] for path in project.code if path in repaired and repaired[path] != broken[path]}
    if not mine:
        return Result(0.0, Status.NO_ANSWER, "no file of the project's code was changed")
    for path, content in sorted(mine.items()):
        try:
            words = new_words(content, broken[path], project.files[path])
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return _failed(f"{path} is no Python: {error}")
        if words:
            return _failed(f"refused: new code in {path} names {', '.join(words[:5])}")
    try:
        return _judge(box, project, task, broken | mine)
    except SandboxError as error:
        return Result(None, Status.VERIFIER_ERROR, str(error)[:200])


def _judge(box: Box, project: Project, task: RepairTask, tree: Mapping[str, bytes]) -> Result:
    wanted = [*task.fail_to_pass, *task.pass_to_pass]
    run = run_suite(box, project, tree, wanted, limits=LIMITS)
    if (verdict := _verdict(run, wanted)) is not None:
        return verdict
    if (verdict := _must_fail(box, project, task, tree)) is not None:
        return verdict
    if task.snippet is not None:
        snippet = replace(task.snippet, code=_UNTESTED + task.snippet.code)
        value = run_snippets(box, project, tree, [snippet])[0]
        if value != task.snippet.good:
            return _failed(f"the issue's call gives {value[:80]!r}, not {task.snippet.good[:80]!r}")
    return Result(1.0, Status.SCORED, f"{len(wanted)} tests passed")


def _failed(reason: str) -> Result:
    return Result(0.0, Status.SCORED, reason[:300])


def _verdict(run: SuiteRun, wanted: Sequence[str]) -> Result | None:
    """What a run of the tests says against the repair."""
    if run.timed_out:
        return Result(None, Status.TIMEOUT, run.detail)
    if not run.ended:
        return _failed(f"the tests came to no end: {run.detail}")
    for test in wanted:
        if run.outcomes.get(test) != "passed":
            return _failed(f"{test}: {run.outcomes.get(test, 'not run')}")
    return None


def _must_fail(box: Box, project: Project, task: RepairTask, tree: Mapping[str, bytes]) -> Result | None:
    """What tests turned into their opposite say against the repair."""
    planted = _planted(project, task)
    files = {
        path: changed(project.files[path], [canary for canary in planted if canary.file == path])
        for path in {canary.file for canary in planted}
    }
    wanted = [*task.fail_to_pass, *task.pass_to_pass]
    named = dict.fromkeys(f"{canary.file}::{canary.function}" for canary in planted)
    opposite = []
    for name in named:
        cases = [test for test in wanted if test.partition("[")[0] == name] or [name]
        opposite += cases[:: -(-len(cases) // CASES)]
    others = [test for test in task.fail_to_pass if test not in opposite][:AGAIN]

    def wrong(files_there: Mapping[str, bytes]) -> tuple[list[str], SuiteRun]:
        # asserts as Python has them: whoever changed how pytest rewrites them is seen here
        run = run_suite(box, project, {**files_there, **files}, [*opposite, *others], plain=True, limits=LIMITS)
        passed = [test for test in opposite if run.outcomes.get(test) not in ("failed", "error")]
        return passed + [test for test in others if run.outcomes.get(test) != "passed"], run

    tests, run = wrong(tree)
    if run.timed_out:
        return Result(None, Status.TIMEOUT, run.detail)
    if run.ended and not tests and opposite:
        return None
    unsound, good = wrong(project.files)
    if not good.ended or set(opposite) <= set(unsound):
        return Result(None, Status.VERIFIER_ERROR, f"no test of {task.id} can be turned into its opposite")
    if not run.ended:
        return _failed(f"tests that must fail came to no end: {run.detail}")
    forged = [test for test in tests if test not in unsound]
    if not forged:
        return None
    what = "passes though it must fail" if forged[0] in opposite else "passes only in company"
    return _failed(f"forged: {forged[0]} {what}")


def _planted(project: Project, task: RepairTask) -> list[Canary]:
    """The same for equal tasks; FAIL_TO_PASS first, in the files that they are in."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:8]))
    planted: list[Canary] = []
    seen: set[str] = set()
    for tests in (task.fail_to_pass, task.pass_to_pass):
        functions: dict[str, list[str]] = {}
        for function in dict.fromkeys(test.partition("[")[0] for test in tests):
            file, _, name = function.partition("::")
            if name and function not in seen:
                functions.setdefault(file, []).append(name)
            seen.add(function)
        files = [file for file in functions if file in project.files]
        if tests is task.pass_to_pass:
            failing = {test.partition("::")[0] for test in task.fail_to_pass}
            files = [file for file in files if file in failing] or files
        for file in files:
            missing = CANARIES - len(planted)
            if missing > 0:
                planted += canaries(file, project.files[file], functions[file], (missing + 1) // 2, rng)
    return planted or [_added(project, task)]


def _added(project: Project, task: RepairTask) -> Canary:
    """A test of its own where none can be turned, such as tests that are made out of data."""
    file, _, rest = task.fail_to_pass[0].partition("[")[0].partition("::")
    name = f"test_{rest.rpartition('::')[2].removeprefix('test_')}_more"
    end = len(project.files[file])
    return Canary(file, name, end, end, f"\n\ndef {name}():\n    value = [1, 2]\n    assert value == [2, 1]\n")
