"""The verifiable tasks of RL by family name: any taskset of the gym, split into what is trained on and what is held."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gym.repositories.errors import RepositoryError
from gym.repositories.stored import TABLE, StoredTasks
from gym.sandbox import LOCAL, Backend, SandboxError
from gym.tasksets.elementary import FAMILIES, Elementary, Side, side_of
from gym.tasksets.open import REPOSITORY, known, open_taskset
from gym.tasksets.task import Task, TaskSet
from stages.harness.errors import InputError
from stages.harness.seeds import seed32

DRAWS = 4  # times that a taskset is asked again for problems that were not drawn yet


class Families:
    """Open tasksets by name.

    Args:
        workers: answers that their sandbox judges at once.
    """

    def __init__(self, tasksets: Mapping[str, TaskSet], workers: int = 1) -> None:
        self.tasksets, self.workers = tasksets, workers

    def tasks(self, name: str, side: Side, n: int, seed: int, difficulty: float) -> list[Task]:
        """Up to `n` different problems of one side; the side follows from what a problem is about, or from its text, so
        none is on both.

        Raises:
            InputError: the family has no problem on this side.
        """
        taskset = Elementary(name, side) if name in FAMILIES else self.tasksets[name]
        tasks: dict[str, Task] = {}
        for draw in range(DRAWS):
            for task in taskset.tasks(n, seed32(seed, draw), difficulty):
                text = str(task.messages[-1]["content"])
                if side_of(task.entity or text) == side:
                    tasks.setdefault(text, task)
            if len(tasks) >= n:
                break
        if not tasks:
            raise InputError(f"tasks.families: {name} has no {side} problem at difficulty {difficulty:g}")
        return list(tasks.values())[:n]


@contextmanager
def open_families(names: Sequence[str], facts: Path, backend: Backend = LOCAL) -> Iterator[Families]:
    """Opens the tasksets `names`, with a sandbox when one of them runs code.

    Args:
        facts: the parquet file of family `facts`.
        backend: where code runs.

    Raises:
        InputError: no taskset has such a name, or what it is made of is missing; or the back end can't run code here.
    """
    for name in names:
        if not known(name):
            raise InputError(f"tasks.families: no taskset {name!r}")
    with ExitStack() as stack:
        try:
            box = stack.enter_context(backend.open(shell=False)) if "code" in names else None
            stored = (
                stack.enter_context(StoredTasks(TABLE, backend.workers, backend)) if REPOSITORY & set(names) else None
            )
            tasksets = {name: open_taskset(name, box=box, facts=facts, stored=stored) for name in names}
        except (RepositoryError, ValueError) as error:
            raise InputError(f"tasks.families: {error}") from None
        except SandboxError as error:
            raise InputError(f"sandbox.backend {backend.name}: {error}") from None
        yield Families(tasksets, backend.workers)
