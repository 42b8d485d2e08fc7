"""What a solver of a task gets: the broken tree without the tests that are hidden from it."""

from gym.repositories.hidden import without_tests
from gym.repositories.project import Project
from gym.repositories.task import RepairTask, apply_edits


def solver_tree(project: Project, task: RepairTask) -> dict[str, bytes]:
    """Files by path; nothing in them tells the good code but what the shown tests expect of it."""
    shown = set(task.shown)
    hidden = [test for test in (*task.fail_to_pass, *task.pass_to_pass) if test not in shown]
    return without_tests(apply_edits(project.files, task.edits), hidden, task.shown)
