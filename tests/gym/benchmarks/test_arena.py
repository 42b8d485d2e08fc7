"""Bradley–Terry against an independent fit and against known strengths."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import minimize

from gym.benchmarks.arena import ANCHOR, Battle, bootstrap, bradley_terry, parse, style_controlled, style_of
from gym.benchmarks.base import DataError

STRENGTH = {"a": 0.0, "b": 0.6, "c": 1.1, "d": -0.4}


def battles(n: int = 3000, seed: int = 0) -> list[Battle]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        one, two = rng.choice(list(STRENGTH), 2, replace=False).tolist()
        p = 1 / (1 + math.exp(STRENGTH[two] - STRENGTH[one]))
        found.append(Battle(one, two, 0.5 if rng.random() < 0.2 else float(rng.random() < p)))
    return found


def reference(rows: Sequence[Battle]) -> dict[str, float]:
    """The same likelihood by L-BFGS over single battles."""
    models = sorted(STRENGTH)

    def loss(theta: np.ndarray) -> float:
        total = 0.0
        for row in rows:
            z = theta[models.index(row.a)] - theta[models.index(row.b)]
            total += row.outcome * math.log1p(math.exp(-z)) + (1 - row.outcome) * math.log1p(math.exp(z))
        return total

    theta = minimize(loss, np.zeros(len(models)), method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8}).x
    theta = 1000 + 400 / math.log(10) * (theta - theta.mean())
    return dict(zip(models, theta, strict=True))


def test_ratings_equal_an_independent_fit() -> None:
    rows = battles(800)
    found = bradley_terry(rows)
    for model, rating in reference(rows).items():
        assert found[model] == pytest.approx(rating, abs=0.01)


def test_intervals_hold_the_rating_and_order_is_found() -> None:
    rows = battles()
    rating, interval = bradley_terry(rows), bootstrap(rows, 0)
    assert sorted(rating, key=rating.__getitem__) == sorted(STRENGTH, key=STRENGTH.__getitem__)
    assert all(low < rating[model] < high for model, (low, high) in interval.items())


def test_the_anchor_has_its_published_rating() -> None:
    rows = [*battles(200), Battle("a", ANCHOR, 1.0), Battle(ANCHOR, "a", 1.0)]
    assert bradley_terry(rows)[ANCHOR] == pytest.approx(1114.0)


def test_style_control_takes_length_out() -> None:
    """Two equal models, one writes more, and voters like length: only without control does it lead."""
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(3000):
        longer, shorter = rng.integers(100, 400), rng.integers(50, 300)
        p = 1 / (1 + math.exp(-2.0 * (longer - shorter) / (longer + shorter)))
        style = ((float(longer), 0.0, 0.0, 0.0), (float(shorter), 0.0, 0.0, 0.0))
        won = float(rng.random() < p)
        swapped = Battle("short", "long", 1.0 - won, (style[1], style[0]))
        rows.append(swapped if rng.random() < 0.5 else Battle("long", "short", won, style))
    plain = bradley_terry(rows)
    controlled, weights = style_controlled(rows)
    assert weights["tokens"] > 0.3
    raw_gap, gap = plain["long"] - plain["short"], controlled["long"] - controlled["short"]
    assert raw_gap > 40
    assert abs(gap) < raw_gap / 3


def test_style_and_schema() -> None:
    assert style_of("# Title\n- one\n- two\n**bold** words") == (8.0, 1.0, 2.0, 1.0)
    with pytest.raises(DataError, match="battle 0"):
        parse([{"model_a": "x", "model_b": "y", "winner": "nobody"}])
    (only,) = parse([{"model_a": "x", "model_b": "y", "winner": "tie (bothbad)"}])
    assert only.outcome == 0.5
