"""Runs tests of a project in the sandbox; what each gave comes back over a pipe that only the runner writes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gym.repositories.project import Project
from gym.sandbox import Limits, Sandbox

LIMITS = Limits(cpu_s=60.0, wall_s=180.0, memory_mb=2048, file_mb=64, processes=64)


@dataclass(frozen=True)
class SuiteRun:
    """outcomes: passed, failed, error or skipped by node id. seconds: of each. texts: of failures, when asked for.
    ended: whether the runner itself reached its end. cpu_s: processor seconds of the whole run.
    """

    outcomes: Mapping[str, str]
    seconds: Mapping[str, float]
    ended: bool
    cpu_s: float
    detail: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def run_suite(
    box: Sandbox,
    project: Project,
    files: Mapping[str, bytes],
    tests: Sequence[str] = (),
    *,
    texts: bool = False,
    limits: Limits = LIMITS,
) -> SuiteRun:
    """Tests of `files`, which stand in for the project's own; node ids or paths in `tests`, all of it without.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    raise NotImplementedError
