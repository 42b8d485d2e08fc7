"""The tasks of one RL run: what it trains on, and what it is measured on."""

from dataclasses import dataclass

from gym.decontaminate import Index, clean_tasks
from gym.tasksets import open_ended
from gym.tasksets.task import Task
from stages.harness.errors import InputError
from stages.harness.seeds import seed32
from stages.rl.families import Families
from stages.rl.params import RlParams

OPEN = "open_ended"  # prompts that the policy itself judges


@dataclass(frozen=True)
class RunTasks:
    """train: by family, with `OPEN`. held: of the verifiable families, about other things than those in `train`.

    overlapping: tasks left out of training, by family/benchmark.
    """

    train: dict[str, list[Task]]
    held: dict[str, list[Task]]
    overlapping: dict[str, int]


def run_tasks(families: Families, p: RlParams, difficulty: float, seed: int, index: Index) -> RunTasks:
    """The tasks that a run's seed draws.

    Args:
        index: benchmarks' texts; tasks that overlap are not trained on.

    Raises:
        InputError: a family has no problem on a side, or every one is a benchmark's.
    """

    def drawn(*names: str) -> int:
        return seed32(seed, *names)

    train, held = {}, {}
    for name in families.names:
        train[name] = families.tasks(name, "train", p.pool, drawn("pool", name), difficulty)
        held[name] = families.tasks(name, "held", p.held_tasks, drawn("held", name), difficulty)
    train[OPEN] = open_ended.tasks(p.pool, drawn("pool", OPEN))
    overlapping: dict[str, int] = {}
    for name, tasks in train.items():
        train[name], dropped = clean_tasks(tasks, index)
        if not train[name]:
            raise InputError(f"tasks.families: every task of {name} is a benchmark's")
        overlapping |= {f"{name}/{benchmark}": count for benchmark, count in dropped.items()}
    return RunTasks(train, held, overlapping)
