"""How good the critic is: what it says of pairs with known winners, and what place and length do to its verdicts."""

from collections.abc import Sequence

from gym.tasksets.open_damage import HELD, LEARNED, answered, even_pairs, known_pairs
from gym.tasksets.task import Task
from stages.posttraining.comparison import Comparison
from stages.rl.pairwise import Judge, both_orders

Verdict = tuple[float, float]  # the chance of the first answer, shown first and shown second


def accuracy(judge: Judge, tasks: Sequence[Task], most: int) -> float | None:
    """Share of comparisons in which the right answer beats a wrong one, over both orders; a tie counts half.

    Of those with a verdict; None without any.

    `payload["answer"]` against each of `payload["wrong"]`, of tasks in turn until there are `most` comparisons.
    """
    deepest = max(len(task.payload["wrong"]) for task in tasks)
    known = [
        Comparison(str(task.messages[-1]["content"]), str(task.payload["answer"]), str(task.payload["wrong"][depth]))
        for depth in range(deepest)
        for task in tasks
        if depth < len(task.payload["wrong"])
    ][:most]
    return _share(both_orders(judge, known))


def open_measures(judge: Judge, pairs: int, seed: int) -> dict[str, float]:
    """Curves of the critic on open prompts that nothing trains on, from `pairs` pairs asked in one batch.

    A third each: held kinds of prompts with damages that the critic learns from (`agreement_kinds`: share of pairs in
    which the better answer wins, over both orders); held kinds of damage (`agreement_damage`); answers that are equally
    useless, of different length (`length_bias`: share in which the longer one wins, less one half). `agreement` is over
    the first two; `position_bias` is the share of all single verdicts that go to the first place, less one half, so 0
    for a fair critic and 0.5 for one that always says the first. `missing`: share of pairs without a verdict, which no
    other measure holds.
    """
    held = answered("held")
    kinds = [prompt for prompt in held if prompt.held_kind]
    third = max(1, pairs // 3)
    of_kinds = [Comparison.of(pair) for pair in known_pairs(kinds, LEARNED, third, seed)]
    of_damage = [Comparison.of(pair) for pair in known_pairs(held, HELD, third, seed)]
    even = [
        Comparison(pair.prompt.text, pair.longer, pair.shorter, pair.prompt.points)
        for pair in even_pairs(held, third, seed)
    ]
    verdicts = both_orders(judge, [*of_kinds, *of_damage, *even])
    there = [verdict for verdict in verdicts if verdict is not None]
    by_kinds = _share(verdicts[: len(of_kinds)])
    by_damage = _share(verdicts[len(of_kinds) : len(of_kinds) + len(of_damage)])
    by_length = _share(verdicts[len(of_kinds) + len(of_damage) :])
    measures = {
        "agreement": _share(verdicts[: len(of_kinds) + len(of_damage)]),
        "agreement_kinds": by_kinds,
        "agreement_damage": by_damage,
        "length_bias": None if by_length is None else by_length - 0.5,
        "position_bias": sum(_first_place(one) for one in there) / len(there) - 0.5 if there else None,
        "missing": 1.0 - len(there) / len(verdicts),
    }
    return {f"held_critic_{name}": value for name, value in measures.items() if value is not None}


def _won(verdict: Verdict) -> float:
    return _side(sum(verdict) / 2)


def _first_place(verdict: Verdict) -> float:
    """Share of the two single verdicts that go to the answer that was shown first."""
    shown_first, shown_second = verdict
    return (_side(shown_first) + _side(1.0 - shown_second)) / 2


def _side(chance: float) -> float:
    return 0.5 if abs(chance - 0.5) < 1e-9 else float(chance > 0.5)


def _share(verdicts: Sequence[Verdict | None]) -> float | None:
    won = [_won(verdict) for verdict in verdicts if verdict is not None]
    return sum(won) / len(won) if won else None
