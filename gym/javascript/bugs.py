"""Proven bugs in a package: a place changed in its code, tests that fail with it, an issue, and what a solver sees."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from gym.javascript.hidden import Place, choose_hidden
from gym.javascript.issues import write_issue
from gym.javascript.project import Project
from gym.javascript.suite import passes, run_suite
from gym.mutants import Mutant, code_only, mutants
from gym.repositories.errors import RepositoryError
from gym.sandbox import Box, Limits

RUNS = 3  # that a test must pass with equal values
MOST_FAIL = 30
TRIES = 40  # mutants for each bug that is wanted
LIMITS = Limits(cpu_s=6.0, wall_s=60.0, memory_mb=65536, processes=64, output_bytes=64 << 20)


@dataclass(frozen=True)
class Baseline:
    """seen: what each test that counts sees, as `SuiteRun.seen`. places: where tests are defined, and others too.
    files: of tests, that can be loaded. left_out: number of other tests and files, by reason."""

    seen: Mapping[str, str]
    places: Mapping[str, Place]
    files: tuple[str, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Bug:
    """A task. edit: in the file `path`, which is good. hidden: tests that are not in the solver's tree."""

    id: str
    path: str
    edit: Mutant
    issue: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    hidden: tuple[str, ...]


def measure(box: Box, project: Project) -> Baseline:
    """What its tests see on the good package.

    Raises:
        RepositoryError: they come to no end, or none passes each time.
        SandboxError: the sandbox failed.
    """
    runs = [run_suite(box, project, project.files) for _ in range(RUNS)]
    if not all(run.ended for run in runs):
        raise RepositoryError(f"{project.name}: its tests come to no end in the sandbox")
    left_out: Counter[str] = Counter()
    seen = {}
    for test, first in runs[0].seen.items():
        if not passes(first):
            left_out["failed"] += 1
        elif first == "[]":
            left_out["without an assertion"] += 1
        elif any(run.seen.get(test) != first for run in runs):
            left_out["changing"] += 1
        else:
            seen[test] = first
    left_out.update("file without a library" if "Cannot find module" in why else "file that can't be loaded"
                    for why in runs[0].errors.values())  # fmt: skip
    if not seen:
        raise RepositoryError(f"{project.name}: none of its tests passes in the sandbox")
    files = tuple(path for path in project.tests if path not in runs[0].errors)
    return Baseline(seen, runs[0].places, files, dict(left_out))


def find_bugs(
    box: Box, project: Project, baseline: Baseline, count: int, seed: int
) -> tuple[list[Bug], Mapping[str, int]]:
    """`count` bugs or fewer, and what became of the mutants that were tried.

    Each stands in a function of its own, and its first failing test is no other's.

    Raises:
        SandboxError: the sandbox failed.
    """
    rng = np.random.default_rng([seed, 83])
    bugs: list[Bug] = []
    reasons: Counter[str] = Counter()
    used: set[Any] = set()
    for path, edit, function in _places(project, rng):
        if len(bugs) == count or sum(reasons.values()) >= TRIES * count:
            break
        if (path, function) in used:
            continue
        files = broken(project, path, edit)
        run = run_suite(box, project, files, limits=LIMITS)
        if not run.ended:
            reasons["no end"] += 1
            continue
        failing = tuple(test for test, seen in baseline.seen.items() if run.seen.get(test) != seen)
        passing = tuple(test for test in baseline.seen if test not in failing)
        if not failing or len(failing) > min(MOST_FAIL, len(passing)):
            reasons["no test fails" if not failing else "too many tests fail"] += 1
            continue
        if failing[0] in used:
            reasons["fails as another bug does"] += 1
            continue
        again = run_suite(box, project, files, limits=LIMITS)
        if any(again.seen.get(test) != run.seen.get(test) for test in failing):
            reasons["fails in two ways"] += 1
            continue
        issue = write_issue(project, failing, run.failed, baseline.places, rng)
        if issue is None:
            reasons["nothing can be told"] += 1
            continue
        text, quoted = issue
        untold = sum(len(run.failed.get(test, ())) for test in failing if test != quoted) - (quoted is None)
        if untold < 1:  # a repair of the told values alone would pass
            reasons["all that fails is told"] += 1
            continue
        used |= {(path, function), failing[0]}
        reasons["proven"] += 1
        hidden = choose_hidden(failing, passing, baseline.places, quoted, rng)
        bugs.append(Bug(f"{project.name}-{len(bugs) + 1}", path, edit, text, failing, passing, hidden))
    return bugs, reasons


def broken(project: Project, path: str, edit: Mutant) -> dict[str, bytes]:
    """The package's files with the bug."""
    return {**project.files, path: edit.applied(project.files[path].decode()).encode()}


def _places(project: Project, rng: np.random.Generator) -> Iterator[tuple[str, Mutant, int]]:
    """(file, edit, where the function around it starts), the files by turns."""

    def of(path: str) -> Iterator[tuple[str, Mutant, int]]:
        source = project.files[path].decode()
        shown = code_only(source)
        for edit in mutants(source, rng):
            yield path, edit, shown.rfind("function", 0, edit.start)

    turns = zip_longest(*(of(path) for path in project.code))
    return (one for one in chain.from_iterable(turns) if one is not None)
