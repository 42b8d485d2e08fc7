"""Confidence intervals for scores."""

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

Z95 = 1.959963984540054


def wilson(successes: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927), as fractions of 1.

    Raises:
        ValueError: n < 1 or successes outside 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"wilson: {successes} of {n} is no proportion")
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the bound is exact; the formula misses it by a rounding error.
    return 0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half


def bootstrap_mean(
    values: Sequence[float], seed: int, *, samples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of independent values.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("bootstrap_mean: no values")
    rng = np.random.Generator(np.random.PCG64(seed))
    data = np.asarray(values, dtype=np.float64)
    means = data[rng.integers(0, len(data), size=(samples, len(data)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def student(n: int, level: float = 0.95) -> float:
    """Two-sided quantile of Student's t with n degrees of freedom; from 3 on Abramowitz 26.7.5, 0.003 off at most.

    Raises:
        ValueError: n < 1.
    """
    if n < 1:
        raise ValueError(f"student: {n} degrees of freedom")
    p = (1 + level) / 2
    if n == 1:
        return math.tan(math.pi * (p - 0.5))
    if n == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = statistics.NormalDist().inv_cdf(p)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / n**power for power, term in enumerate(terms))


def paired_difference(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[float, float, float, int] | None:
    """Mean of a less b over the items that both have, with its 95 % interval, and how many these are; None without any.

    Scores are from 0 to 1. As Agresti and Min (2005) do for matched proportions, one gain and one loss by a whole point
    are added before the interval is taken, here Student's: a few items that all agree prove no equality.
    """
    gaps = [a[item] - b[item] for item in a if item in b]
    if not gaps:
        return None
    n, total = len(gaps) + 2, sum(gaps)
    variance = (sum(gap * gap for gap in gaps) + 2 - total * total / n) / n
    half = student(n - 1) * math.sqrt(variance / n)
    return total / len(gaps), max(-1.0, total / n - half), min(1.0, total / n + half), len(gaps)
