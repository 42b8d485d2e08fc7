"""Functions of repositories to repair and to write: the repository's own tests decide."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.repositories.project import Project
from gym.repositories.stored import StoredTasks
from gym.tasksets.open import open_taskset
from gym.tasksets.repository import Functions
from gym.tasksets.sides import side_of
from gym.verifiers.result import Status
from stages.harness.errors import InputError
from stages.rl.families import Families
from tests.stored_repairs import write_stored


@pytest.fixture(scope="module")
def stored(
    tmp_path_factory: pytest.TempPathFactory, toy_project: Project, library_store: Path
) -> Iterator[StoredTasks]:
    table = write_stored(tmp_path_factory.mktemp("stored"), toy_project, library_store, held=(False, False))
    with StoredTasks(table) as found:
        yield found


@pytest.mark.parametrize("name", ["repair", "completion"])
def test_the_good_function_passes_and_others_do_not(stored: StoredTasks, name: str) -> None:
    taskset = open_taskset(name, stored=stored)
    (task,) = taskset.tasks(5, 1)
    assert taskset.tasks(5, 1) == [task]
    question = str(task.messages[0]["content"])
    assert task.payload["answer"] not in question
    assert taskset.score(task, task.payload["answer"]).score == 1.0
    assert taskset.score(task, f"Here it is:\n{task.payload['answer']}\nDone.").score == 1.0
    function = task.payload["function"]
    wrong = taskset.score(task, f"```python\ndef {function}(*args, **kwargs):\n    return 0\n```")
    assert (wrong.score, wrong.status) == (0.0, Status.SCORED)
    assert "no definition" in taskset.score(task, "def other(): pass").reason
    assert taskset.score(task, "  ").status is Status.NO_ANSWER


def test_a_function_can_not_reach_its_judge(stored: StoredTasks) -> None:
    taskset = open_taskset("completion", stored=stored)
    (task,) = taskset.tasks(1, 1)
    cheat = "```python\ndef distance(first, second):\n    import os\n    os._exit(0)\n```"
    assert taskset.score(task, cheat).score == 0.0


def test_sides_follow_the_function_not_the_wording(stored: StoredTasks) -> None:
    taskset = Functions("repair", stored)
    (task,) = taskset.tasks(1, 1)
    assert task.entity == "shapes/shapes/plane.py/area"
    families = Families({"repair": taskset})
    mine = side_of(task.entity)
    assert families.tasks("repair", mine, 3, 0, 0.0) == [task]
    with pytest.raises(InputError, match="repair has no"):
        families.tasks("repair", "held" if mine == "train" else "train", 3, 0, 0.0)


def test_a_kind_without_tasks_is_one_line(stored: StoredTasks) -> None:
    with pytest.raises(ValueError, match="taskset repair: no such task"):
        Functions("repair", stored, held=True)
    with pytest.raises(ValueError, match="needs the tasks of repositories"):
        open_taskset("completion")
