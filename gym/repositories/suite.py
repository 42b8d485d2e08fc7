"""Runs tests of a project in the sandbox; what each gave comes back over a pipe that only the runner writes to."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gym.repositories.project import Project
from gym.sandbox import Box, Job, Limits, Verdict

LIMITS = Limits(cpu_s=60.0, wall_s=180.0, memory_mb=2048, file_mb=64, processes=64)
OUTPUT_BYTES = 64 << 20
# Read by the sandbox's zygote once, so that a run doesn't import pytest anew: `open_sandbox(..., preload=PRELOAD)`.
PRELOAD = (
    "pytest", "_pytest.assertion.rewrite", "_pytest.python", "_pytest.doctest", "_pytest.unittest", "_pytest.tmpdir",
    "_pytest.monkeypatch", "_pytest.terminal", "_pytest.junitxml", "_pytest.logging", "_pytest.recwarn",
    "_pytest.skipping", "_pytest.subtests", "_pytest.fixtures", "_pytest.capture", "unittest.mock", "doctest",
    "inspect", "pprint", "difflib", "decimal", "fractions", "random", "datetime", "typing", "dataclasses", "enum",
    "tempfile", "textwrap", "subprocess", "asyncio", "statistics", "pickle", "copy", "uuid",
)  # fmt: skip
OPTIONS = (
    "-q", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--continue-on-collection-errors",
    "--color=no", "--tb=short", "-W", "ignore::pytest.PytestCollectionWarning",
    "-W", "ignore::pytest.PytestUnknownMarkWarning",
)  # fmt: skip
_INSIDE = Path(__file__).with_name("suite_inside.py").read_text(encoding="utf-8")
TREE = "tree"


@dataclass(frozen=True)
class SuiteRun:
    """outcomes: passed, failed, error or skipped by node id; a file that can't be collected is an error by its path.
    seconds: of each. texts: of failures, when asked for. ended: whether the runner itself reached its end, and all that
    came over the pipe was its own. cpu_s: processor seconds of the whole run. detail: what kept it from its end.
    timed_out: by the clock, which says nothing about the tests.
    """

    outcomes: Mapping[str, str]
    seconds: Mapping[str, float]
    ended: bool
    cpu_s: float
    detail: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    timed_out: bool = False


def run_suite(
    box: Box,
    project: Project,
    files: Mapping[str, bytes],
    tests: Sequence[str] = (),
    *,
    texts: bool = False,
    plain: bool = False,
    limits: Limits = LIMITS,
) -> SuiteRun:
    """Tests of `files`, which stand in for the project's own; node ids or paths in `tests`, all of it without.

    Args:
        box: opened with the project's library folder; faster with `preload=PRELOAD`.
        plain: assert statements are Python's own, not rewritten by pytest.
        texts: also the text of each failure, as pytest's short form shows it; files of the tree are below `/tree`.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    named = dict.fromkeys(test.partition("::")[0].rstrip("/") for test in tests or project.tests)
    paths = [path for path in named if path in files or any(file.startswith(f"{path}/") for file in files)]
    if not paths:
        return SuiteRun({}, {}, ended=False, cpu_s=0.0, detail=f"no tests at {', '.join(named)}")
    first, second = secrets.token_hex(16), secrets.token_hex(16)
    run = {
        "arguments": [*OPTIONS, *(["--assert=plain"] if plain else []), *project.options, *paths],
        "wanted": list(tests),
        "roots": list(project.roots),
        "environment": dict(project.environment or {}),
        "texts": texts,
    }
    megabytes = sum(map(len, files.values())) >> 20
    outcome = box.run(
        Job(
            source=_INSIDE,
            files={f"{TREE}/{path}": content for path, content in files.items()},
            stdin=f"{first}\n{json.dumps(run)}\n{second}\n",
            limits=replace(limits, output_bytes=OUTPUT_BYTES, file_mb=limits.file_mb + 2 * megabytes),
        )
    ).reached()
    records, foreign, status = _read(outcome.stdout, first, second)
    done = [record for record in records if "id" in record]
    ends = [record for record in records if "end" in record]
    detail = ""
    if outcome.verdict is not Verdict.OK:
        detail = outcome.detail or outcome.verdict.value
    elif foreign:
        detail = f"{foreign} lines that the runner did not write"
    elif status is None:
        detail = "the runner was ended"
    elif status != 0 or len(ends) != 1:
        detail = f"the tests' process ended with status {status} before its end"
    elif ends[0]["count"] != len(done):
        detail = f"{len(done)} of {ends[0]['count']} records came"
    elif ends[0]["missing"] > 0:
        detail = f"pytest ended before {ends[0]['missing']} of the tests"
    elif ends[0]["end"] not in (0, 1, 5):
        detail = f"pytest ended with status {ends[0]['end']}"
    return SuiteRun(
        {record["id"]: record["outcome"] for record in done},
        {record["id"]: record["seconds"] for record in done},
        not detail,
        outcome.cpu_s,
        detail,
        {record["id"]: record["text"] for record in done if record["text"]},
        outcome.verdict is Verdict.WALL_LIMIT,
    )


def _read(text: str, first: str, second: str) -> tuple[list[dict[str, Any]], int, int | None]:
    """(the tests' records, number of lines that carry neither word, exit status of the tests' process)."""
    records: list[dict[str, Any]] = []
    foreign, status = 0, None
    for line in text.split("\n"):
        word, _, rest = line.partition(" ")
        if word == first:
            records.append(json.loads(rest))
        elif word == second:
            status = int(rest)
        elif line:
            foreign += 1
    return records, foreign, status
