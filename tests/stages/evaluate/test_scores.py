import json
from typing import Any

import pytest

from gym.benchmarks.open import open_benchmark
from stages.evaluate.scores import metrics


def row(task: str, score: float | None, parts: dict[str, float], status: str = "scored") -> dict[str, Any]:
    common = {"sample": 0, "group": "parity", "extracted": "", "finish_reason": "stop", "output_tokens": 1}
    return common | {"task_id": task, "score": score, "parts": json.dumps(parts), "status": status}


def test_a_prompt_that_does_not_fit_does_not_take_the_official_number_away() -> None:
    rows = [
        row("0", 1.0, {"flexible": 1.0}),
        row("1", 0.0, {"flexible": 1.0}, "no_answer"),
        row("2", 0.0, {}, "no_answer"),
    ]
    found = metrics(open_benchmark("gsm8k"), rows, 1)
    assert found["gsm8k"] == pytest.approx(1 / 3)
    assert found["gsm8k_flexible"] == pytest.approx(2 / 3)


def test_an_empty_answer_does_not_take_the_groups_away() -> None:
    found = metrics(open_benchmark("elementary"), [row("0", 1.0, {}), row("1", 0.0, {}, "no_answer")], 1)
    assert (found["elementary"], found["elementary_parity"]) == (0.5, 0.5)


def test_an_error_a_time_out_and_a_wrong_answer_are_three_results() -> None:
    rows = [
        row("0", 0.0, {"flexible": 0.0}), row("1", None, {}, "verifier_error"), row("2", None, {}, "timeout"),
        row("3", None, {}, "infrastructure_error"),
    ]  # fmt: skip
    found = metrics(open_benchmark("gsm8k"), rows, 1)
    assert (found["gsm8k"], found["gsm8k_n"], found["gsm8k_flexible"]) == (0.0, 1.0, 0.0)
    assert (found["gsm8k_verifier_errors"], found["gsm8k_infrastructure_errors"]) == (2.0, 1.0)
