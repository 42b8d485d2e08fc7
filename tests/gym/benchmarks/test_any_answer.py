"""A grader never raises on what a model wrote: each result is scored, no answer, a time-out or a verifier's error."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym.benchmarks.base import Benchmark, Reply, Sample, package_folder
from gym.benchmarks.open import open_benchmark
from gym.sandbox import Job, Outcome, Sandbox, Verdict, open_sandbox
from gym.verifiers.math import MathVerifier
from gym.verifiers.result import Result, Status
from gym.verifiers.schema import json_schema

PLAIN = "arithmetic_mc competition_templates elementary gpqa_diamond gsm8k logic_grids tool_quality".split()
PLAIN += ["verifiable_instructions"]
PACKAGED = {"bfcl": "bfcl_eval", "reasoning_gym": "reasoning_gym"}
INSTALLED = [name for name, module in PACKAGED.items() if package_folder(module) is not None]
PROGRAMS = ("humaneval", "stdin_programs")
BOMBS = [
    "[" * 5000, "9" * 5000, '{"a":' * 3000, "\ud800", "\x00",
    "{" * 200 + "}" * 200, '{"solution": ' + "9" * 5000 + "}", "NaN",
    '{"solution": {"House 1": [[[]]]}}', "\\boxed{" * 500, "1e999999", "-", "\u2028", "<|tool_call_begin|>", "```",
    "```python\n\x00\n```",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(BOMBS),
    st.lists(
        st.sampled_from(["{", "}", "[", "]", '"', ":", ",", "a", "1", " ", "\n", "```", "\\", "null", "House 1"])
    ).map("".join),
)
NAMES = st.one_of(
    st.sampled_from(["get_weather", "convert", "set_alarm", "calculate_triangle_area"]), st.text(max_size=20)
)
ARGUMENTS = st.one_of(
    TEXTS, st.sampled_from(['{"base": 10, "height": 5}', "{}", "", "null", "[]", '{"city": {"a": [1]}}', '{"x": NaN}'])
)


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}}


REPLIES = st.builds(
    lambda text, calls: Reply(text, tool_calls=tuple(calls)),
    TEXTS,
    st.lists(st.builds(call, NAMES, ARGUMENTS), max_size=3),
)


@cache
def items(name: str) -> list[Sample]:
    return opened(name).items()


@cache
def opened(name: str) -> Benchmark:
    return open_benchmark(name)


def typed(result: Result) -> bool:
    judged = result.status in (Status.SCORED, Status.NO_ANSWER)
    return result.score is not None and 0.0 <= result.score <= 1.0 if judged else result.score is None


@pytest.mark.parametrize("name", [*PLAIN, *INSTALLED])
@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, 10_000), reply=REPLIES)
def test_any_reply_gets_a_typed_result(name: str, number: int, reply: Reply) -> None:
    bench = opened(name)
    grade = bench.grade(items(name)[number % len(items(name))], reply)
    assert typed(grade.result), grade
    assert isinstance(grade.extracted, str)


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_program_gets_a_typed_result(name: str, box: Sandbox) -> None:
    bench = opened(name)
    bench.box = box
    sample = bench.items()[-1]
    for text in [*BOMBS, *(f"```python\n{bomb}\n```" for bomb in BOMBS), "", " "]:
        grade = bench.grade(sample, Reply(text))
        assert typed(grade.result), (text[:40], grade)
        assert grade.result.score == 0.0, (text[:40], grade)


class Broken:
    """A sandbox that can't run anything."""

    def run(self, job: Job) -> Outcome:
        return Outcome(Verdict.INFRASTRUCTURE_ERROR, 0, "", "", 0.0, 0.0, 0.0, "no machine")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_sandbox_that_fails_is_a_verifiers_error_and_no_wrong_answer(name: str) -> None:
    bench = opened(name)
    bench.box = Broken()  # type: ignore[assignment]
    grade = bench.grade(bench.items()[0], Reply("```python\nprint(1)\n```"))
    assert (grade.result.score, grade.result.status) == (None, Status.VERIFIER_ERROR)
    bench.box = None


def test_mathematics_has_a_typed_result_for_any_answer() -> None:
    with MathVerifier(timeout_s=2.0) as verify:
        for text in [*BOMBS, "\\boxed{\\frac{}{}}", "\\boxed{\\sqrt[}{2}", "$$$$", "\\boxed{1/0}", "x" * 20_000]:
            assert typed(verify("204", text)), text[:40]


@settings(max_examples=100, deadline=None)
@given(text=ARGUMENTS)
def test_a_schema_has_a_typed_result_for_any_answer(text: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 0.5}, "b": {"pattern": "^a+$"}}}
    assert typed(json_schema(text, schema))
