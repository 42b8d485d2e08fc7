"""Arena: pairwise battles → Bradley–Terry ratings with ties, bootstrap intervals and style control.

The rule of FastChat's `rating_systems.py`: maximum likelihood over unique outcomes with their counts, a tie is half a
win for each side, 400·log10 scale around 1000, one model anchored. Style control adds standardised differences of
length, headers, lists and bold text to the logit, with an L2 penalty of 0.5 on all weights.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym.benchmarks.base import DataError

SCALE, BASE, START = 400.0, 10.0, 1000.0
ANCHOR, ANCHOR_RATING = "mixtral-8x7b-instruct-v0.1", 1114.0
OUTCOME = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
STYLE = ("tokens", "headers", "lists", "bold")
PENALTY = 0.5
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Battle:
    """`outcome` is 1 when `a` won, 0 when `b` won, 0.5 for a tie; `style` holds (a, b) counts by STYLE.

    Battles of one `question` are not independent.
    """

    a: str
    b: str
    outcome: float
    style: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    question: str = ""


def parse(rows: Sequence[Mapping[str, Any]]) -> list[Battle]:
    """Battles from the official JSON: model_a, model_b, winner, and `conv_metadata` where there is one.

    Raises:
        DataError: a field is missing or the winner has another name.
    """
    battles = []
    for number, row in enumerate(rows):
        try:
            outcome = OUTCOME[row["winner"]]
            a, b = str(row["model_a"]), str(row["model_b"])
        except KeyError as error:
            raise DataError(f"battle {number}: {error}") from None
        meta = row.get("conv_metadata")
        style = (_counts(meta, "a"), _counts(meta, "b")) if meta else None
        battles.append(Battle(a, b, outcome, style, str(row.get("question_id", number))))
    return battles


def _counts(meta: Mapping[str, Any], side: str) -> tuple[float, ...]:
    def total(key: str) -> float:
        value = meta.get(key, 0)
        return float(sum(value.values()) if isinstance(value, Mapping) else value)

    names = (f"sum_assistant_{side}_tokens", f"header_count_{side}", f"list_count_{side}", f"bold_count_{side}")
    return tuple(total(name) for name in names)


def style_of(text: str) -> tuple[float, ...]:
    """(words, headers, list items, bold runs) of one answer."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headers = len(re.findall(r"^#{1,6}\s", plain, re.MULTILINE))
    lists = len(re.findall(r"^\s*(?:\d+\.|[-*+])\s", plain, re.MULTILINE))
    return float(len(text.split())), float(headers), float(lists), float(len(re.findall(r"\*\*[^*\n]+\*\*", plain)))


def _fit(x: Array, y: Array, weight: Array, penalty: float) -> Array:
    """Maximum likelihood (or a posteriori) of a logistic model without intercept, by damped Newton steps."""
    theta = np.zeros(x.shape[1])

    def loss(t: Array) -> float:
        z = x @ t
        return float((weight * (np.logaddexp(0.0, z) - y * z)).sum() + 0.5 * penalty * t @ t)

    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-(x @ theta)))
        gradient = x.T @ (weight * (p - y)) + penalty * theta
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + penalty * np.eye(len(theta))
        # Without a penalty the sum of all ratings is free: the smallest step fixes it.
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
        size, before = 1.0, loss(theta)
        while loss(theta - size * step) > before and size > 1e-8:
            size /= 2
        theta = theta - size * step
        if float(np.abs(size * step).max()) < 1e-10:
            break
    return theta


def _design(battles: Sequence[Battle], models: Sequence[str]) -> Array:
    index = {model: position for position, model in enumerate(models)}
    x = np.zeros((len(battles), len(models)))
    for row, battle in enumerate(battles):
        x[row, index[battle.a]] += 1.0
        x[row, index[battle.b]] -= 1.0
    return x


def _ratings(models: Sequence[str], theta: Array, anchor: str | None) -> dict[str, float]:
    rating = START + SCALE / math.log(BASE) * (theta - theta.mean())
    if anchor is not None and anchor in models:
        rating = rating + ANCHOR_RATING - rating[list(models).index(anchor)]
    return {model: float(value) for model, value in zip(models, rating, strict=True)}


def unbounded(battles: Sequence[Battle]) -> list[str]:
    """Models without a finite maximum-likelihood rating (Ford 1957): some group of them never lost to the others."""
    models = sorted({battle.a for battle in battles} | {battle.b for battle in battles})
    index = {model: position for position, model in enumerate(models)}
    reach = np.eye(len(models), dtype=bool)  # a won or drew against b, perhaps through others
    for battle in battles:
        a, b = index[battle.a], index[battle.b]
        reach[a, b] |= battle.outcome > 0
        reach[b, a] |= battle.outcome < 1
    for _ in models:
        reach = reach @ reach
    together = reach & reach.T
    largest = together[together.sum(axis=1).argmax()]
    return [model for model, within in zip(models, largest, strict=True) if not within]


def bradley_terry(battles: Sequence[Battle], *, anchor: str | None = ANCHOR) -> dict[str, float]:
    """Ratings by model.

    Models that `unbounded` names have no finite maximum; the damped Newton steps then end far away.

    Raises:
        DataError: no battles.
    """
    if not battles:
        raise DataError("arena: no battles")
    models = sorted({battle.a for battle in battles} | {battle.b for battle in battles})
    unique = Counter((battle.a, battle.b, battle.outcome) for battle in battles)
    kept = [Battle(a, b, outcome) for a, b, outcome in unique]
    weight = np.array([float(n) for n in unique.values()])
    theta = _fit(_design(kept, models), np.array([battle.outcome for battle in kept]), weight, 0.0)
    return _ratings(models, theta, anchor)


def style_controlled(
    battles: Sequence[Battle], *, anchor: str | None = ANCHOR
) -> tuple[dict[str, float], dict[str, float]]:
    """(ratings, weight of each style feature) with style differences held equal.

    Raises:
        DataError: no battles, or one without style counts.
    """
    if not battles or any(battle.style is None for battle in battles):
        raise DataError("arena: style control needs battles with style counts")
    models = sorted({battle.a for battle in battles} | {battle.b for battle in battles})
    a = np.array([battle.style[0] for battle in battles if battle.style])
    b = np.array([battle.style[1] for battle in battles if battle.style])
    total = a + b
    difference = np.divide(a - b, total, out=np.zeros_like(a), where=total > 0)
    deviation = difference.std(axis=0)
    style = np.divide(difference - difference.mean(axis=0), deviation, out=np.zeros_like(a), where=deviation > 0)
    x = np.concatenate([_design(battles, models), style], axis=1)
    theta = _fit(x, np.array([battle.outcome for battle in battles]), np.ones(len(battles)), PENALTY)
    n = len(models)
    return _ratings(models, theta[:n], anchor), dict(zip(STYLE, map(float, theta[n:]), strict=True))


def bootstrap(
    battles: Sequence[Battle],
    seed: int,
    *,
    rounds: int = 100,
    anchor: str | None = ANCHOR,
    by_question: bool = False,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals: outcomes are redrawn as one multinomial, as FastChat does.

    With `by_question`, questions are redrawn with all of their battles: both orders and all pairs of one question hang
    together.
    """
    unique = Counter((battle.a, battle.b, battle.outcome) for battle in battles)
    kept = [Battle(a, b, outcome) for a, b, outcome in unique]
    counts = np.array(list(unique.values()), dtype=np.float64)
    models = sorted({battle.a for battle in battles} | {battle.b for battle in battles})
    x, y = _design(kept, models), np.array([battle.outcome for battle in kept])
    rng = np.random.default_rng(seed)
    if by_question:
        index = {(battle.a, battle.b, battle.outcome): k for k, battle in enumerate(kept)}
        names = {name: k for k, name in enumerate(dict.fromkeys(battle.question for battle in battles))}
        of_question = np.zeros((len(names), len(kept)))
        for battle in battles:
            of_question[names[battle.question], index[battle.a, battle.b, battle.outcome]] += 1.0
        draws = rng.multinomial(len(names), [1 / len(names)] * len(names), size=rounds) @ of_question
    else:
        draws = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=rounds).astype(np.float64)
    rated = [_ratings(models, _fit(x, y, draw, 0.0), anchor) for draw in draws]
    intervals = {}
    for model in models:
        low, high = np.quantile([rating[model] for rating in rated], [0.025, 0.975])
        intervals[model] = (float(low), float(high))
    return intervals
