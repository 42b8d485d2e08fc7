"""What a solver of a task gets: the broken tree without the tests that are hidden from it, and tools to work on it."""

import shlex

from gym.repositories.hidden import without_tests
from gym.repositories.project import Project
from gym.repositories.task import RepairTask, apply_edits
from gym.sandbox import Box, Limits
from gym.sandbox.workspace import Workspace

LIMITS = Limits(cpu_s=30.0, wall_s=60.0, memory_mb=1024, file_mb=32, processes=64)
# Of pytest in the copy: the project's own options may want what is not there; short tracebacks are enough.
PYTEST = ("-o", "addopts=", "-p", "no:cacheprovider", "--tb=short", "--color=no", "-W", "ignore::pytest.PytestWarning")


def solver_tree(project: Project, task: RepairTask) -> dict[str, bytes]:
    """Files by path; nothing in them tells the good code but what the shown tests expect of it."""
    shown = set(task.shown)
    hidden = [test for test in (*task.fail_to_pass, *task.pass_to_pass) if test not in shown]
    return without_tests(apply_edits(project.files, task.edits), hidden, task.shown)


def working_copy(project: Project, task: RepairTask, box: Box) -> Workspace:
    """The solver's tree with its tools, in a sandbox of the project."""
    environment = {**(project.environment or {}), "PYTEST_ADDOPTS": shlex.join([*PYTEST, *project.options])}
    return Workspace(solver_tree(project, task), box, limits=LIMITS, roots=project.roots, environment=environment)
