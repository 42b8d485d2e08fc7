"""Models beside each other, the limits that are measured, and what no tool-less model is asked."""

import json
from typing import Any

import numpy as np
import pytest

from agents.chat.embedded.client import EmbeddedClient
from agents.chat.protocol import Around, ChatRequest, ChatResponse
from gym.benchmarks.base import Settings
from gym.benchmarks.open import open_benchmark
from gym.intervals import paired_difference, student
from stages.evaluate import comparison, scores
from stages.evaluate.__main__ import open_all
from stages.evaluate.comparison import Compared
from stages.evaluate.limits import item_means, one_shot
from stages.evaluate.params import EvaluateParams, label
from stages.evaluate.published import REFERENCES
from stages.evaluate.runner import CannotBeAsked, run_benchmark
from stages.harness.errors import InputError
from stages.harness.section import load_yaml, validate
from stages.tracking.gate import GateParams, Rule, judge
from tests.answering import Answering

SETTINGS = Settings(1, 0.0, 1.0, 16)


def samples(values: dict[str, float | None], benchmark: str = "elementary") -> list[dict[str, Any]]:
    common = {"benchmark": benchmark, "sample": 0, "group": "parity", "extracted": "", "parts": "{}"}
    common |= {"status": "scored", "finish_reason": "stop", "output_tokens": 1, "expected": "{}"}
    return [common | {"task_id": task, "score": score} for task, score in values.items()]


def shares(right: int, of: int) -> dict[str, float | None]:
    return {str(item): float(item < right) for item in range(of)}


@pytest.mark.parametrize(("n", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (59, 2.001)])
def test_quantiles_of_student(n: int, quantile: float) -> None:
    assert student(n) == pytest.approx(quantile, abs=0.004)


def test_intervals_of_paired_differences_hold_the_difference_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    for n, before, after in ((8, 0.5, 0.5), (24, 0.3, 0.4), (60, 0.7, 0.6)):
        held = 0
        for _ in range(1000):
            shared = rng.random(n) < 0.5  # half of the items fall out alike
            first = rng.random(n)
            second = np.where(shared, first, rng.random(n))
            a = {str(item): float(value < after) for item, value in enumerate(second)}
            b = {str(item): float(value < before) for item, value in enumerate(first)}
            found = paired_difference(a, b)
            assert found is not None
            held += found[1] <= after - before <= found[2]
        assert held >= 940, (n, before, after, held)


def test_a_difference_is_of_the_items_that_both_have() -> None:
    assert paired_difference({"a": 1.0, "b": 0.5, "c": 0.0}, {"b": 0.0, "c": 0.0, "d": 1.0}) == pytest.approx(
        (0.25, -1.0, 1.0, 2)
    )
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None
    alike = paired_difference(item_means(samples(shares(3, 8))), item_means(samples(shares(3, 8))))
    assert alike is not None and alike[0] == 0.0 and alike[1] < -0.2 and alike[2] > 0.2  # eight items prove little


def test_a_stage_that_is_worse_is_a_regression_and_the_gate_says_so() -> None:
    models = [
        Compared("embedded", False, {"elementary": samples(shares(60, 60))}),
        Compared("base", True, {"elementary": samples(shares(40, 60)), "gsm8k": samples(shares(0, 4))}),
        Compared("sft", True, {"elementary": samples(shares(52, 60)), "gsm8k": samples(shares(1, 4))}),
        Compared("qat", True, {"elementary": samples(shares(30, 60))}),
    ]
    found = comparison.differences(models)
    assert found["change_base_elementary"] == pytest.approx(-1 / 3)  # no stage of ours made the dense one
    assert found["change_base_elementary_ci_high"] < 0 and found["regressions"] == 1
    assert found["change_sft_elementary_ci_low"] > 0 and found["change_sft_gsm8k_items"] == 4
    assert found["change_qat_elementary_ci_high"] < 0 and "change_qat_gsm8k" not in found
    assert [line.partition(":")[2].partition(":")[0] for line in comparison.lines(models, found)] == [
        " base is worse than embedded", " sft is better than base", " qat is worse than sft",
    ]  # fmt: skip
    gate = GateParams(rules=[Rule(metric="regressions", better="lower", bound=0.0, slack=0.0)])
    assert judge(gate, found, None) == ["regressions 1 is above the bound 0"]
    assert judge(gate, comparison.differences(models[:3]), None) == []


def test_the_names_of_models() -> None:
    assert [label(one) for one in ("embedded", "models/sft", "/a/b c/", "http://h:1/v1#org/m-1.5B")] == [
        "embedded", "sft", "b-c", "org-m-1.5B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"models": ["models/sft", "other/sft"]}, "two models called 'sft'"),
        ({"models": ["elsewhere/qat"]}, "models/qat is always the last one"),
        ({"benchmarks": ["humaneval", "mmul"]}, "^params.yaml: compare.benchmarks: no benchmark 'mmul'; there are "),
    ],
)
def test_what_cannot_be_compared_is_one_line(changed: dict[str, list[str]], said: str) -> None:
    section = load_yaml()["evaluate"]
    section["compare"] = {"models": ["models/sft"], "benchmarks": ["elementary"], "minutes": 1.0} | changed
    with pytest.raises(InputError, match=said):
        validate(EvaluateParams, section)


def test_a_benchmark_is_asked_once_and_missing_data_are_said_before_the_first_question() -> None:
    section = load_yaml()["evaluate"] | {"compare": None}
    one = {"name": "elementary", "items": 2, "max_tokens": 4}
    with pytest.raises(InputError, match="elementary is asked twice"):
        validate(EvaluateParams, section | {"benchmarks": [one, one]})
    asked = validate(EvaluateParams, section | {"benchmarks": [one, one | {"name": "ifeval"}]})
    with pytest.raises(InputError, match="--data ifeval="):
        open_all(asked)


def test_published_figures_are_fractions_with_a_source() -> None:
    assert len({one.name for one in REFERENCES}) == len(REFERENCES) == 5
    for one in REFERENCES:
        assert one.source and one.scores and all(0 <= value <= 1 for value in one.scores.values())


def calling(*names: str) -> ChatResponse:
    calls = tuple({"id": "", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names)
    return ChatResponse("", tool_calls=calls, finish_reason="length", completion_tokens=5)


def test_needless_and_surplus_calls() -> None:
    bench = open_benchmark("tool_quality")

    def say(request: ChatRequest) -> ChatResponse:
        text = str(request.messages[-1]["content"])
        if "weather" in text:
            return calling("get_weather", "get_weather")
        return calling("convert") if text.startswith("Convert") or text == "What is your name?" else calling()

    rows = run_benchmark(bench, Answering(say), SETTINGS, seed=1)
    found = scores.metrics(bench, rows, 0)
    names = [str(item.messages[-1]["content"]) for item in bench.items()]
    idle = [name for name in names if not name.startswith(("How will", "Convert", "Wake"))]
    assert found["tool_quality_needless_calls"] == idle.count("What is your name?") / len(idle)
    assert found["tool_quality_surplus_calls"] == 1 / 3
    assert found["tool_quality_tokens_per_answer"] == 5 and found["tool_quality_truncated_share"] == 1.0
    silent = scores.metrics(bench, run_benchmark(bench, Answering(lambda _: calling()), SETTINGS, seed=1), 0)
    assert silent["tool_quality_needless_calls"] == silent["tool_quality_surplus_calls"] == 0.0


def test_bfcl_counts_calls_where_none_fits() -> None:
    bench = open_benchmark("bfcl")
    rows = run_benchmark(bench, Answering(lambda _: calling("a", "b")), SETTINGS, seed=1, items=60)
    groups = {row["group"] for row in rows}
    found = scores.metrics(bench, rows, 0)
    assert any(group.endswith("irrelevance") for group in groups)
    assert found["bfcl_needless_calls"] == 1.0
    needed = [len(json.loads(row["expected"])["truth"] or []) for row in rows if "relevance" not in row["group"]]
    assert found["bfcl_surplus_calls"] == sum(count < 2 for count in needed) / len(needed)


def test_samples_of_the_machine_are_no_answers() -> None:
    rows = [row | {"status": "infrastructure_error", "score": None} for row in samples(shares(0, 2))]
    found = scores.metrics(open_benchmark("elementary"), rows, 0)
    assert "elementary_tokens_per_answer" not in found and "elementary_truncated_share" not in found


def test_one_shot_beside_the_agent_on_the_same_bugs() -> None:
    agent, shot = samples(shares(9, 12)), samples({str(item): float(item < 3) for item in range(2, 14)})
    found = one_shot({"repairs_python": agent, "repairs_python_agentless": shot})
    assert found["one_shot_minus_agentic"] == pytest.approx(-0.6) and found["one_shot_minus_agentic_items"] == 10
    assert found["one_shot_minus_agentic_ci_high"] < 0
    assert one_shot({"repairs_python": agent}) == one_shot({}) == {}


def test_the_embedded_model_is_not_asked_what_needs_tools() -> None:
    embedded = EmbeddedClient.__new__(EmbeddedClient)  # without its weights: it must not get as far as an answer
    embedded.model = "SmolLM2"
    for client in (embedded, Around(Around(embedded))):
        with pytest.raises(CannotBeAsked, match="^tool_quality: left out: SmolLM2 knows no tools$"):
            run_benchmark(open_benchmark("tool_quality"), client, SETTINGS, seed=1, items=2)
