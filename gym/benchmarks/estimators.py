"""avg@k, pass@k, pass^k and best-of-n: four different questions about the same repeated samples."""

import math
from collections.abc import Mapping, Sequence

SOLVED = 1e-6  # a reward this close to 1 is a success (tau2)


def is_solved(score: float) -> bool:
    return abs(score - 1.0) <= SOLVED


def avg_at_k(scores: Mapping[str, Sequence[float]]) -> float:
    """Mean over items of the mean over samples."""
    return sum(sum(values) / len(values) for values in scores.values()) / len(scores)


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 − C(n−c,k)/C(n,k): the chance that one of k samples out of n, c of them right, is right (Chen et al. 2021).

    Raises:
        ValueError: k outside 1..n, or c outside 0..n.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"pass_at_k: n={n}, c={c}, k={k}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """C(c,k)/C(n,k): the chance that all of k samples are right (tau-bench).

    Raises:
        ValueError: k outside 1..n, or c outside 0..n.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"pass_hat_k: n={n}, c={c}, k={k}")
    return math.comb(c, k) / math.comb(n, k)


def best_of_n(scores: Mapping[str, Sequence[float]], votes: Mapping[str, Sequence[float]]) -> float:
    """Mean score of the sample with the highest vote of a verifier that doesn't know the gold (the first of equals)."""
    total = 0.0
    for item, values in scores.items():
        best = max(range(len(values)), key=lambda i: (votes[item][i], -i))
        total += values[best]
    return total / len(scores)


def majority(answers: Sequence[str]) -> list[float]:
    """A vote for each sample: how many samples gave the same non-empty answer."""
    return [float(answers.count(answer)) if answer else 0.0 for answer in answers]


def over_items(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """avg@n, and pass@k and pass^k for k = 1, 2, 4, … up to the smallest number of samples of an item."""
    n = min(len(values) for values in scores.values())
    metrics = {f"avg_at_{n}": avg_at_k(scores)}
    k = 1
    while k <= n:
        counts = [(len(values), sum(is_solved(value) for value in values)) for values in scores.values()]
        metrics[f"pass_at_{k}"] = sum(pass_at_k(m, c, k) for m, c in counts) / len(counts)
        metrics[f"pass_hat_{k}"] = sum(pass_hat_k(m, c, k) for m, c in counts) / len(counts)
        k *= 2
    return metrics
