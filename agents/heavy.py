"""Heavy mode: several trajectories side by side, then one reflective aggregation (K2 Thinking card, note 4)."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents.loop.loop import Model, Run, Stop

ASK = (
    "Several attempts at the task above were made independently. Compare them, find mistakes, and write the final "
    "answer.\n\n{attempts}"
)


def heavy(
    attempt: Callable[[int], Run],
    aggregate: Model,
    messages: Sequence[Mapping[str, Any]],
    n: int = 8,
    workers: int = 8,
) -> tuple[str, list[Run]]:
    """The aggregated answer and the runs, in order of their number.

    Args:
        attempt: runs one trajectory; its number is the seed.
        aggregate: reads the task and all attempts, and answers once.

    Raises:
        ValueError: no attempt came to an answer.
    """
    with ThreadPoolExecutor(min(n, workers)) as pool:
        runs = list(pool.map(attempt, range(n)))
    answered = [run for run in runs if run.stop is Stop.ANSWERED]
    if not answered:
        raise ValueError(f"none of {n} attempts came to an answer: {', '.join(run.stop.value for run in runs)}")
    shown = "\n\n".join(f"Attempt {k + 1}:\n{run.answer}" for k, run in enumerate(answered))
    reply = aggregate([*messages, {"role": "user", "content": ASK.format(attempts=shown)}], [])
    return str(reply.get("content") or ""), runs
