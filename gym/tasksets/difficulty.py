"""Difficulty filter: keep what a policy solves sometimes (K2 report §3.2.1: moderate by pass@k)."""

from collections.abc import Callable, Sequence

from gym.tasksets.task import Task


def pass_rates(tasks: Sequence[Task], attempt: Callable[[Task, int], float | None], samples: int) -> list[float | None]:
    """Mean score of `samples` attempts per task; attempts without a verdict (None) don't count, all None gives None."""
    rates: list[float | None] = []
    for task in tasks:
        scores = [score for k in range(samples) if (score := attempt(task, k)) is not None]
        rates.append(sum(scores) / len(scores) if scores else None)
    return rates


def moderate(tasks: Sequence[Task], rates: Sequence[float | None], low: float = 0.1, high: float = 0.9) -> list[Task]:
    """Tasks whose pass rate lies within the bounds."""
    return [task for task, rate in zip(tasks, rates, strict=True) if rate is not None and low <= rate <= high]
