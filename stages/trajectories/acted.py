"""Conversations in which a model behind a URL acts: each at its own pace, a shard is done when its last one is."""

from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from agents.conversations.llm_agent import Acting, act
from agents.conversations.making import Proof
from agents.conversations.trajectory import Case, Trajectory
from agents.conversations.wording import Wording
from stages.harness.teacher import Teacher
from stages.trajectories.shards import Row
from stages.trajectories.simulated import Maker, row

Shard = tuple[Sequence[int], Sequence[Wording]]  # numbers, and the wordings of their sentences


def acted(
    maker: Maker,
    todo: Sequence[Shard],
    agent: Teacher,
    acting: Acting,
    on_done: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, list[Row]]]:
    """(index in `todo`, rows in the order of their numbers) of each shard, as soon as its last conversation has ended.

    Args:
        on_done: called when a conversation has ended.

    Raises:
        ChatError: no request can be answered.
    """
    ended: SimpleQueue[tuple[int, Trajectory] | None] = SimpleQueue()
    positions = [(shard, k) for shard, (numbers, _) in enumerate(todo) for k in range(len(numbers))]
    drawn: dict[int, tuple[Case, Proof, str]] = {}  # of conversations under way, by index

    def cases() -> Iterator[Case]:
        index = 0
        for numbers, wordings in todo:
            for case, proof, wording in maker.cases(numbers, wordings):
                drawn[index] = case, proof, wording
                index += 1
                yield case

    asking = agent.submit(act, cases(), acting, lambda index, done: ended.put((index, done)))
    asking.add_done_callback(lambda _: ended.put(None))
    rows: dict[int, dict[int, Row]] = {}
    while (item := ended.get()) is not None:
        index, done = item
        shard, k = positions[index]
        case, proof, wording = drawn.pop(index)
        numbers = todo[shard][0]
        rows.setdefault(shard, {})[k] = row(case, done, proof, wording, numbers[k], "llm")
        on_done()
        if len(rows[shard]) == len(numbers):
            whole = rows.pop(shard)
            yield shard, [whole[k] for k in range(len(numbers))]
    asking.result()
