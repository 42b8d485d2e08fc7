"""Confidence intervals for scores."""

import math
from collections.abc import Sequence

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
