"""The tasks of one repository: its baseline, proven bugs, an issue for each."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gym.repositories.archives import fetch, read_archive
from gym.repositories.baseline import Baseline, measure_baseline
from gym.repositories.draw import Draw, parse_code
from gym.repositories.issues import Issue, rewritten, write_issue
from gym.repositories.libraries import open_project
from gym.repositories.packages import read_packages
from gym.repositories.project import Project
from gym.repositories.proof import Proven, prove
from gym.repositories.rewrites import rewrites
from gym.repositories.sources import read_repository
from gym.repositories.store import LIBRARIES, read_baseline, write_baseline
from gym.repositories.task import Edit, RepairTask
from gym.sandbox import Box
from gym.tasksets.sides import side_of
from stages.harness.seeds import rng, seed32

SILENT = "no issue"  # a bug about which nothing can be said


@dataclass(frozen=True)
class Wanted:
    """A repository and how many tasks of it: to learn from, and held ones. own: the user's, else a pinned package."""

    source: str
    own: bool
    tasks: int
    held: int


@dataclass(frozen=True)
class Helping:
    """complete: a teacher's answer to a prompt, None without one. rewritten, worded: share of the candidates that it
    writes, and of the issues that it words."""

    complete: Callable[[str], str] | None
    rewritten: float
    worded: float


@dataclass(frozen=True)
class Made:
    """What came of a repository; JSON as it is.

    rows: tasks, with `held`. tests: that count, others by reason. reasons: candidates by what became of them. kinds:
    (proven, tried) by kind of edit. names: tasks whose issue names a changed function, which could not be avoided.
    """

    rows: list[dict[str, Any]]
    tests: int
    left_out: Mapping[str, int]
    reasons: Mapping[str, int]
    kinds: Mapping[str, Sequence[int]]
    names: int


def read_project(wanted: Wanted, archives: Path) -> Project:
    """Its files, fetched where they are not there yet.

    Raises:
        RepositoryError: it can't be had, or has no suite.
    """
    if wanted.own:
        return read_repository(wanted.source, archives)
    package = read_packages()[wanted.source]
    return read_archive(package, fetch(package, archives))


def make(wanted: Wanted, project: Project, folder: Path, seed: int, teacher: Helping, workers: int) -> Made:
    """Its baseline, proven bugs of each side, and an issue for each.

    Args:
        folder: where what was measured and fetched stays for a later run.
        workers: jobs of its sandbox at once.

    Raises:
        RepositoryError: it has no suite that can be relied on.
        SandboxError: the sandbox failed.
    """
    libraries = folder / LIBRARIES
    baseline = _baseline(project, folder, libraries)
    rows: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    proven: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    names = 0
    with open_project(project, libraries, workers) as box, ThreadPoolExecutor(workers) as pool:
        for side, count in (("train", wanted.tasks), ("held", wanted.held)):
            own_seed = seed32(seed, project.name, side)
            drawn = _candidates(project, baseline, own_seed, side if wanted.own else None, teacher)
            missing = count
            while missing:  # a bug about which nothing can be said is no task
                bugs, funnel = prove(box, project, baseline, missing, own_seed, candidates=drawn, workers=workers)
                reasons += funnel.reasons
                proven.update({kind: done for kind, (done, _) in funnel.kinds.items()})
                tried.update({kind: every for kind, (_, every) in funnel.kinds.items()})
                issues = [pool.submit(_issue, box, project, bug, own_seed, teacher) for bug in bugs]
                for bug, later in zip(bugs, issues, strict=True):
                    issue = later.result()
                    if issue is None:
                        reasons[SILENT] += 1
                        continue
                    missing -= 1
                    names += any(name.startswith("function") for name in issue.names)
                    rows.append(_task(project, bug, issue).row() | {"held": side == "held"})
                if not bugs:
                    break
    kinds = {kind: (proven[kind], tried[kind]) for kind in sorted(tried)}
    return Made(rows, len(baseline.tests), baseline.left_out, dict(sorted(reasons.items())), kinds, names)


def _candidates(
    project: Project, baseline: Baseline, seed: int, side: str | None, teacher: Helping
) -> Iterator[tuple[Edit, ...]]:
    """Drawn ones and a teacher's; of a user's repository those whose functions all are on one side."""
    sources = parse_code(project)
    drawn, draw = iter(Draw(project, baseline, sources, seed)), rng(seed, "who")
    written: Iterator[tuple[Edit, ...]] = iter(())
    if teacher.complete is not None and teacher.rewritten:
        written = rewrites(teacher.complete, sources, seed)
    while True:
        asked = teacher.rewritten > 0 and draw.random() < teacher.rewritten
        edits = (next(written, None) if asked else None) or next(drawn, None)
        if edits is None:
            return
        sides = {side_of(f"{project.name}/{edit.path}/{edit.function}") for edit in edits}
        if side is None or sides == {side}:
            yield edits


def _baseline(project: Project, folder: Path, libraries: Path) -> Baseline:
    """Measured once for equal files."""
    path = folder / f"{project.name}-{project.content()[:16]}.baseline.json"
    if not path.exists():
        write_baseline(path, measure_baseline(project, libraries))
    return read_baseline(path)


def _issue(box: Box, project: Project, bug: Proven, seed: int, teacher: Helping) -> Issue | None:
    own = rng(seed, _name(project, bug.edits))
    issue = write_issue(box, project, bug.edits, bug.fail_to_pass, own)
    if issue is None or teacher.complete is None or own.random() >= teacher.worded:
        return issue
    return rewritten(issue, project, bug.edits, teacher.complete)


def _name(project: Project, edits: Sequence[Edit]) -> str:
    text = json.dumps([asdict(edit) for edit in edits])
    return f"{project.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _task(project: Project, bug: Proven, issue: Issue) -> RepairTask:
    tests = (*bug.fail_to_pass, *bug.pass_to_pass)
    return RepairTask(
        id=_name(project, bug.edits),
        project=project.name,
        version=project.version,
        edits=bug.edits,
        fail_to_pass=bug.fail_to_pass,
        pass_to_pass=bug.pass_to_pass,
        shown=tuple(test for test in tests if test in bug.shown or test in issue.quoted),
        issue=issue.text,
        form=issue.form,
        snippet=issue.snippet,
        chain=issue.chain,
    )
