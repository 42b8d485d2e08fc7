"""What a project's tests say of its good files, again and again: which can be relied on, and which lines each runs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gym.repositories.errors import RepositoryError
from gym.repositories.libraries import open_project
from gym.repositories.project import Project
from gym.repositories.suite import LIMITS, OPTIONS, SuiteRun, run_suite
from gym.sandbox import Box, Job

RUNS = 3
SLOW_S = 1.0
WHOLE = replace(LIMITS, cpu_s=300.0, wall_s=900.0)
_INSIDE = Path(__file__).with_name("coverage_inside.py").read_text(encoding="utf-8")
_MAP = "coverage.json"


@dataclass(frozen=True)
class Baseline:
    """A project's tests that count, and what is known of them.

    Attributes:
        tests: node ids that passed in every run, in the suite's order.
        seconds: wall time of each, the shortest of the runs.
        groups: sets of tests, as numbers in `tests`.
        lines: by path of a code file, the group of tests that run a line, by its number from 1; lines that no test
            runs, or that run only when the module is imported, are absent.
        left_out: number of tests by reason: failed, skipped, flaky, slow, changing id.
        cpu_s: processor seconds of one run of the whole suite.
    """

    tests: tuple[str, ...]
    seconds: Mapping[str, float]
    groups: tuple[tuple[int, ...], ...]
    lines: Mapping[str, Mapping[int, int]]
    left_out: Mapping[str, int]
    cpu_s: float

    def covering(self, path: str, line: int) -> tuple[str, ...]:
        """The tests that run a line, in the suite's order."""
        group = self.lines.get(path, {}).get(line)
        return () if group is None else tuple(self.tests[number] for number in self.groups[group])


def measure_baseline(project: Project, store: Path) -> Baseline:
    """Runs the whole suite of the good files three times in the project's sandbox, and once more under coverage.

    Args:
        store: folder of library tars.

    Raises:
        RepositoryError: the suite does not reach its end, or no test counts.
        SandboxError: the sandbox itself failed.
    """
    with open_project(project, store, workers=1) as box:
        runs: list[SuiteRun] = []
        while len(runs) < RUNS:
            run = run_suite(box, project, project.files, texts=True, limits=WHOLE)
            if not run.ended:
                raise RepositoryError(f"{project.name}: its suite does not reach its end: {run.detail}")
            runs.append(run)
    seconds, left_out = reliable(runs)
    if not seconds:
        raise RepositoryError(f"{project.name}: no test can be relied on: {_why(runs[0], left_out)}")
    with open_project(project, store, workers=1, tools=("pytest", "coverage")) as box:
        groups, lines = _coverage(box, project, list(seconds))
    return Baseline(tuple(seconds), seconds, groups, lines, left_out, min(run.cpu_s for run in runs))


def reliable(runs: Sequence[SuiteRun]) -> tuple[dict[str, float], dict[str, int]]:
    """(seconds of the tests that count, number of the others by reason).

    The shortest of a test's runs decides whether it is slow: what else runs on the machine only adds to it.
    """
    everywhere = [test for test in runs[0].outcomes if all(test in run.outcomes for run in runs)]
    reasons: Counter[str] = Counter()
    reasons["changing id"] = max(len(run.outcomes) for run in runs) - len(everywhere)
    seconds = {}
    for test in everywhere:
        outcomes = {run.outcomes[test] for run in runs}
        shortest = min(run.seconds[test] for run in runs)
        if "passed" not in outcomes:
            reasons["skipped" if outcomes == {"skipped"} else "failed"] += 1
        elif len(outcomes) > 1:
            reasons["flaky"] += 1
        elif shortest >= SLOW_S:
            reasons["slow"] += 1
        else:
            seconds[test] = shortest
    return seconds, {reason: count for reason, count in sorted(reasons.items()) if count}


def _why(run: SuiteRun, left_out: Mapping[str, int]) -> str:
    """Numbers by reason, and the first failure's last line: often a library that the repository needs."""
    counts = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    for test, text in run.texts.items():
        return f"{counts}; {test}: {text.strip().splitlines()[-1].removeprefix('E').strip()}"
    return counts or "there is none"


def _coverage(
    box: Box, project: Project, tests: list[str]
) -> tuple[tuple[tuple[int, ...], ...], dict[str, dict[int, int]]]:
    run = {
        "arguments": [*OPTIONS, *project.options, *project.tests],
        "roots": list(project.roots),
        "environment": dict(project.environment or {}),
        "code": list(project.code),
        "tests": tests,
    }
    outcome = box.run(
        Job(
            source=_INSIDE,
            files={f"tree/{path}": content for path, content in project.files.items()},
            stdin=json.dumps(run),
            limits=replace(WHOLE, cpu_s=10 * WHOLE.cpu_s, file_mb=256),
            keep=(_MAP,),
        )
    ).reached()
    if _MAP not in outcome.files:
        raise RepositoryError(f"{project.name}: its suite does not reach its end under coverage: {outcome.detail}")
    found = json.loads(outcome.files[_MAP])
    groups = tuple(map(tuple, found["groups"]))
    return groups, {path: {int(line): group for line, group in of.items()} for path, of in found["lines"].items()}
