"""Bradley–Terry against an independent fit and against known strengths."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from gym.benchmarks.arena import (
    ANCHOR,
    Battle,
    bootstrap,
    bradley_terry,
    parse,
    style_controlled,
    style_of,
    unbounded,
)
from gym.benchmarks.arena_battles import PROMPTS, judge_messages, planted, questions, verdict
from gym.benchmarks.base import DataError
from gym.tasksets.open_damage import HELD, LEARNED

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


def logistic(rows: Sequence[Battle], features: np.ndarray, penalty: float) -> np.ndarray:
    """scikit-learn's logistic regression; a tie is half a win and half a loss."""
    x, y = np.concatenate([features, features]), np.repeat([1, 0], len(rows))
    outcome = np.array([row.outcome for row in rows])
    inverse = 1 / penalty if penalty else np.inf
    fit = LogisticRegression(C=inverse, fit_intercept=False, tol=1e-10, max_iter=10_000)
    return fit.fit(x, y, np.concatenate([outcome, 1 - outcome])).coef_[0]


def sides(rows: Sequence[Battle]) -> np.ndarray:
    models = sorted(STRENGTH)
    return np.array([[(row.a == model) - (row.b == model) for model in models] for row in rows], float)


def test_ratings_and_style_weights_equal_scikit_learns_logistic_regression() -> None:
    rng = np.random.default_rng(4)
    rows = [Battle(row.a, row.b, row.outcome, (tuple(rng.random(4)), tuple(rng.random(4)))) for row in battles(600)]
    theta = logistic(rows, sides(rows), 0.0)
    for model, value in zip(sorted(STRENGTH), theta - theta.mean(), strict=True):
        assert bradley_terry(rows)[model] == pytest.approx(1000 + 400 / math.log(10) * value, abs=0.01)
    one, other = (np.array([row.style[k] for row in rows if row.style]) for k in (0, 1))
    share = (one - other) / (one + other)
    share = (share - share.mean(axis=0)) / share.std(axis=0)
    theta = logistic(rows, np.concatenate([sides(rows), share], axis=1), 0.5)
    ratings, weights = style_controlled(rows)
    assert list(weights.values()) == pytest.approx(theta[4:], abs=1e-4)
    for model, value in zip(sorted(STRENGTH), theta[:4] - theta[:4].mean(), strict=True):
        assert ratings[model] == pytest.approx(1000 + 400 / math.log(10) * value, abs=0.02)


def test_who_never_lost_has_no_finite_rating() -> None:
    rows = [Battle("a", "b", 1.0), Battle("b", "a", 1.0), Battle("c", "a", 1.0)]
    assert unbounded(rows) == ["c"]
    assert unbounded([*rows, Battle("b", "c", 0.5)]) == []


def test_intervals_by_question_are_wider_where_battles_hang_together() -> None:
    """Each question decides all of its ten battles alike: only the questions are independent."""
    rng = np.random.default_rng(5)
    rows = []
    for question in range(40):
        won = float(rng.random() < 0.6)
        rows += [Battle("a", "b", won, question=str(question))] * 10
    plain, by_question = bootstrap(rows, 0)["a"], bootstrap(rows, 0, by_question=True)["a"]
    assert by_question[1] - by_question[0] > 2 * (plain[1] - plain[0])


def test_verdicts_and_prompts(tmp_path: Path) -> None:
    assert verdict("I'd say [[B>A]], no, [[A>>B]]") == "A>>B"
    assert verdict("A is better: [A>B]") is None
    assert len(set(PROMPTS)) == len(PROMPTS) == questions()[1].count
    path = tmp_path / "q.jsonl"
    path.write_text('{"question_id": 81, "turns": ["First?", "Then?"]}\n{"uid": "x", "prompt": "Hard?"}\n')
    found, manifest = questions(path)
    assert [(one.id, one.text) for one in found] == [("81", "First?"), ("x", "Hard?")]
    assert manifest.name.startswith("arena@")
    shown = str(judge_messages(found[0], "left", "right")[1]["content"])
    assert shown.index("First?") < shown.index("left") < shown.index("right")
    path.write_text('{"question_id": 81}\n')
    with pytest.raises(DataError, match="row 0"):
        questions(path)


def test_planted_pairs_are_of_every_damage_on_prompts_that_nothing_learns_from() -> None:
    pairs = planted(20, 7)
    assert len(pairs) == 20
    assert {pair.damage for pair in pairs} == set(LEARNED | HELD)
    assert all(pair.prompt.side == "held" and pair.better != pair.worse for pair in pairs)
    assert pairs == planted(20, 7) != planted(20, 8)


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
