"""Runs a package's tests by node in the sandbox; what each saw comes back in lines that carry a secret word."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gym.javascript.project import Project
from gym.sandbox import Box, Job, Limits, Verdict

# node reserves far more address space than it uses.
LIMITS = Limits(cpu_s=20.0, wall_s=90.0, memory_mb=65536, processes=64, output_bytes=64 << 20)
HARNESS = {path.name: path.read_bytes() for path in sorted(Path(__file__).with_name("harness").glob("*.js"))}
FOLDER = "harness"  # where it lies in a solver's tree
COMMAND = f"node {FOLDER}/run.js"
EQUALITY = ("equal", "deepEqual")


@dataclass(frozen=True)
class SuiteRun:
    """seen: by test what each of its assertions saw, as JSON: [kind, whether it held, value where the kind compares].
    errors: files of tests that can't be loaded, with why. places: (file, line, column) where a test is defined.
    failed: of each failing test its failing assertions, for a person. ended: whether the run reached its end.
    """

    seen: Mapping[str, str]
    errors: Mapping[str, str]
    places: Mapping[str, tuple[str, int, int]]
    failed: Mapping[str, list[dict[str, Any]]]
    ended: bool


def passes(seen: str) -> bool:
    """Whether every assertion of a test held."""
    return all(held for _, held, _ in json.loads(seen))


def run_suite(
    box: Box, project: Project, files: Mapping[str, bytes], *, turned: bool = False, limits: Limits = LIMITS
) -> SuiteRun:
    """All tests of `files`, which stand in for the project's own.

    Args:
        turned: every assertion that two values are equal is judged by its opposite, so that each test with one must
            fail.

    Raises:
        SandboxError: the sandbox failed.
    """
    secret = secrets.token_hex(16)
    texts = {path: content.decode("utf-8", "replace") for path, content in {**files, **project.libraries}.items()}
    asked = {"secret": secret, "files": texts, "tests": project.tests, "code": project.code, "turned": turned}
    job = Job(argv=["node", "run.js", "-"], files=HARNESS, stdin=json.dumps(asked), limits=limits)
    outcome = box.run(job).reached()
    marked = [line.removeprefix(f"{secret} ") for line in outcome.stdout.split("\n") if line.startswith(f"{secret} ")]
    records = [json.loads(line) for line in marked]
    tests = [record for record in records if "id" in record and "error" not in record]
    ends = [record["end"] for record in records if "end" in record]
    return SuiteRun(
        {one["id"]: json.dumps(one["checks"], ensure_ascii=False) for one in tests},
        {one["id"]: one["error"] for one in records if "error" in one},
        {one["id"]: tuple(one["at"]) for one in tests if one["at"]},
        {one["id"]: one["failed"] for one in tests if one["failed"]},
        outcome.verdict is Verdict.OK and ends == [len(records) - 1],
    )


def judged(box: Box, project: Project, files: Mapping[str, bytes], expected: Mapping[str, str]) -> dict[str, str]:
    """What each test of `expected` saw on these files; absent if it came to no end.

    A test whose equalities still hold when their opposite is asked tells nothing: then every test is absent.

    Raises:
        SandboxError: the sandbox failed.
    """
    run = run_suite(box, project, files)
    if not run.ended:
        return {}
    turned = run_suite(box, project, files, turned=True)
    right = [test for test, seen in expected.items() if run.seen.get(test) == seen]
    must_fail = [test for test in right if any(kind in EQUALITY for kind, _, _ in json.loads(expected[test]))]
    if not turned.ended or any(passes(turned.seen.get(test, "[]")) for test in must_fail):
        return {}
    return {test: run.seen[test] for test in expected if test in run.seen}
