"""Candidates tried in memory: the suite is collected once, and only tests that run the changed lines run."""

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from gym.repositories.baseline import Baseline
from gym.repositories.covering import covering
from gym.repositories.parsed import Source, first_line
from gym.repositories.project import Project
from gym.repositories.suite import LIMITS, OPTIONS
from gym.repositories.task import Edit
from gym.sandbox import Box, Job, Limits, SandboxError

MOST_TESTS = 60  # that a candidate is tried with: of more every n-th
MOST_FAILURES = 30
SURELY = 1.5  # times more failures than that, as those that were tried let expect, are too many
START_S, USUAL = (
    2.0,
    2.0,
)  # a candidate's limit of processor time: so much, and so many times what its tests usually take
COLLECT_S = 60.0
TREE = "tree"
OUTPUT_BYTES = 64 << 20
# Nobody reads the texts of failures here, and rewriting every assertion of a suite takes longer than most searches.
_QUICK = ("--assert=plain", "--tb=no")
_INSIDE = Path(__file__).with_name("search_inside.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Trial:
    """What a candidate did in memory.

    status: failed, fails too much, survived, endless, died (its process ended before its tests), untested (no test runs
    its lines) or unswapped (no living function has that code: only a run on disk can tell). failed: node ids, of those
    tried.
    """

    status: str
    failed: tuple[str, ...] = ()
    cpu_s: float = 0.0
    why: str = ""


def search(
    box: Box,
    project: Project,
    baseline: Baseline,
    candidates: Sequence[tuple[Edit, ...]],
    sources: Mapping[str, Source],
) -> tuple[list[Trial], float]:
    """(a trial of each candidate, processor seconds), by one job of the sandbox.

    Args:
        box: opened with the project's library folder.
        sources: the project's code, parsed, by path.

    Raises:
        SandboxError: the sandbox itself failed, or the suite could not be collected.
    """
    trials: dict[int, Trial] = {}
    asked: dict[int, dict[str, object]] = {}
    for number, edits in enumerate(candidates):
        every = covering(baseline, sources, edits)
        if not every:
            trials[number] = Trial("untested")
            continue
        tests = every[:: math.ceil(len(every) / MOST_TESTS)]
        most = min(MOST_FAILURES, math.ceil(SURELY * MOST_FAILURES * len(tests) / len(every)))
        limit = START_S + USUAL * sum(baseline.seconds[test] for test in tests)
        parts = [_part(sources[edit.path], edit) for edit in edits]
        asked[number] = {"tests": tests, "most": most, "limit": limit, "parts": parts}
    cpu_s = 0.0
    if asked:
        answers, cpu_s = _run(box, project, list(asked.values()))
        for number, answer in zip_longest(asked, answers):
            trials[number] = answer or Trial("died", why="the search ended before it")
    return [trials[number] for number in range(len(candidates))], cpu_s


def _part(source: Source, edit: Edit) -> dict[str, object]:
    """The statement of the module that an edit lies in, before and after it."""
    function = source.function_at(edit.start)
    assert function is not None, edit
    statement, outermost = function.statement, function.outermost
    low, high = source.whole_lines(statement)
    new = source.content[low : edit.start] + edit.new.encode() + source.content[edit.end : high]
    names = [one.name for one in source.functions if one.node is outermost]
    return {
        "path": source.path,
        "name": names[0],
        "line": first_line(statement),
        "old": source.content[low:high].decode(),
        "new": new.decode(),
        "flags": _future(source.tree),
    }


def _future(tree: ast.Module) -> int:
    """The compiler's flags that the file's own `from __future__` lines set."""
    first = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    code = compile(ast.Module(list(first), []), "future", "exec", dont_inherit=True)
    return code.co_flags & ~0xFFFF


def _run(box: Box, project: Project, asked: Sequence[Mapping[str, object]]) -> tuple[list[Trial], float]:
    seconds = COLLECT_S + sum(float(str(one["limit"])) for one in asked)
    megabytes = sum(map(len, project.files.values())) >> 20
    job = {
        "arguments": [*OPTIONS, *_QUICK, *project.options, *project.tests],
        "roots": list(project.roots),
        "environment": dict(project.environment or {}),
        "candidates": asked,
    }
    outcome = box.run(
        Job(
            source=_INSIDE,
            files={f"{TREE}/{path}": content for path, content in project.files.items()},
            stdin=json.dumps(job),
            limits=Limits(
                cpu_s=seconds,
                wall_s=10 * seconds,
                memory_mb=LIMITS.memory_mb,
                output_bytes=OUTPUT_BYTES,
                file_mb=LIMITS.file_mb + 2 * megabytes,
                processes=LIMITS.processes,
            ),
        )
    ).reached()
    answers = [json.loads(line) for line in outcome.stdout.splitlines()]
    if not answers:
        raise SandboxError(f"{project.name}: no search, its suite was not collected: {outcome.detail or 'no tests'}")
    trials = [
        Trial(one["status"], tuple(one.get("failed", ())), one.get("cpu_s", 0.0), one.get("why", "")) for one in answers
    ]
    return trials, outcome.cpu_s
