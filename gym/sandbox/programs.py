"""Which programs a sandbox has besides Python."""

from gym.sandbox.box import Box
from gym.sandbox.job import Job, Limits, Verdict

# node reserves far more address space than it uses.
_LIMITS = Limits(cpu_s=20.0, wall_s=60.0, memory_mb=65536, processes=64)


def has_program(box: Box, name: str) -> bool:
    """Whether `NAME --version` runs in this sandbox."""
    return box.level != "fork" and box.run(Job(argv=[name, "--version"], limits=_LIMITS)).verdict is Verdict.OK
