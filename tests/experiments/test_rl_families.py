"""The verdicts of RL's families follow from their lines alone."""

from typing import Any

import pytest

from experiments.rl_families import claims

BEFORE = {"record": "before", "family": "calls", "held": 60, "each": [0.0] * 60, "success": 0.0}
TEXT = {"record": "text", "of": "base", "loss": 2.8}


def _after(seed: int, right: int, text: float = 2.8) -> dict[str, Any]:
    each = [1.0] * right + [0.0] * (60 - right)
    return {"record": "after", "family": "calls", "held": 60, "seed": seed, "each": each, "text": text}


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(30, "reproduces"), (1, "does not reproduce"), (10, "not settled at this size")],
)
def test_a_family_is_taught_when_the_whole_interval_lies_above_fifteen_points(right: int, verdict: str) -> None:
    taught, language = claims([TEXT, BEFORE, *(_after(seed, right) for seed in range(3))])
    assert taught["verdict"] == verdict
    assert language["verdict"] == "reproduces"


def test_text_that_suffers_is_said_and_two_seeds_make_no_claim() -> None:
    *_, language = claims([TEXT, BEFORE, *(_after(seed, 30, 3.2) for seed in range(3))])
    assert language["verdict"] == "does not reproduce"
    assert claims([TEXT, BEFORE, *(_after(seed, 30) for seed in range(2))]) == []
