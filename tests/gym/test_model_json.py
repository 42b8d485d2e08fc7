"""Whatever a model writes as JSON is a wrong answer at worst: no reader of the gym lets it end the run."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gym.benchmarks.aime_modes import AimePython
from gym.benchmarks.base import Reply, Sample
from gym.benchmarks.bfcl import Bfcl
from gym.benchmarks.bfcl_multi_turn import written
from gym.benchmarks.tau2 import Tau2
from gym.benchmarks.zebra import ZebraLogic
from gym.verifiers.logic_grid import last_json
from gym.verifiers.result import Status
from gym.verifiers.schema import json_schema, tool_calls

UNUSABLE = {
    "4,301 digits": "9" * 4301,
    "4,301 digits in an object": '{"code": ' + "9" * 4301 + "}",
    "20,000 brackets": "[" * 20_000,
    "20,000 closed brackets": "[" * 20_000 + "]" * 20_000,
    "1,000 nested objects": '{"a": ' * 1_000 + "1" + "}" * 1_000,
    "NaN": '{"code": NaN}',
    "an infinite number": '{"code": 1e999}',
    "torn": '{"code": "a',
    "text": "I do not know",
}
unusable = pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE.keys())
EMPTY = pytest.mark.parametrize("text", ["", "  ", "null", "{}", None], ids=repr)


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


def bare(kind: type, **attributes: Any) -> Any:
    """A benchmark without the data or package that it needs."""
    made = object.__new__(kind)
    vars(made).update(attributes)
    return made


@unusable
def test_unusable_json_is_a_wrong_answer_to_a_schema(text: str) -> None:
    found = json_schema(text, {})
    assert (found.score, found.status) == (0.0, Status.SCORED)
    assert "\n" not in found.reason and len(found.reason) < 160


@unusable
def test_a_call_with_unusable_arguments_is_invalid(text: str) -> None:
    tool = {"type": "function", "function": {"name": "run", "parameters": {}}}
    found = tool_calls([call("run", text)], [tool])
    assert (found.score, found.status) == (0.0, Status.SCORED)


@EMPTY
def test_empty_arguments_are_those_of_a_tool_without_parameters(text: str | None) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "now", "parameters": schema}}
    assert tool_calls([call("now", text)], [tool]).score == 1.0
    needs = {"type": "function", "function": {"name": "now", "parameters": schema | {"required": ["zone"]}}}
    assert tool_calls([call("now", text)], [needs]).score == 0.0


@unusable
def test_an_answer_that_is_no_usable_json_solves_no_logic_grid(text: str) -> None:
    grid = {"House 1": {"Name": "Eric"}}
    grade = bare(ZebraLogic).grade(Sample("a", (), {"grid": grid}), Reply(text))
    assert grade.result.score == 0.0


def test_the_last_whole_object_counts_even_behind_thousands_of_open_brackets() -> None:
    assert last_json("[" * 20_000 + ' so {"solution": {"House 1": {"Name": "Eric"}}} it is {') == {
        "solution": {"House 1": {"Name": "Eric"}}
    }
    assert last_json('first {"a": 1} then {"a": ' + "9" * 4301 + "}") is None
    assert last_json("none") is None


@unusable
def test_bfcl_scores_a_call_that_cannot_be_read_as_wrong(text: str) -> None:
    grade = bare(Bfcl).grade(Sample("a", (), {}, group="simple_python"), Reply("", tool_calls=(call("run", text),)))
    assert (grade.result.score, grade.result.status) == (0.0, Status.SCORED)
    assert "can't be read" in grade.result.reason


@EMPTY
def test_bfcl_reads_a_call_without_arguments(text: str | None) -> None:
    sample = Sample("a", (), {}, group="live_relevance")
    grade = bare(Bfcl).grade(sample, Reply("", tool_calls=(call("run", text),)))
    assert grade.result.score == 1.0 and json.loads(grade.extracted) == [{"run": {}}]


@unusable
def test_bfcl_multi_turn_refuses_a_call_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError):
        written([call("ls", text)], {"ls": {}})


@EMPTY
def test_bfcl_multi_turn_calls_a_function_without_arguments(text: str | None) -> None:
    assert written([call("ls", text)], {"ls": {}}) == ["ls()"]


@unusable
def test_tau2_ends_a_task_at_a_call_that_cannot_be_read(text: str) -> None:
    bench = bare(Tau2, messages=SimpleNamespace(ToolCall=SimpleNamespace))
    assert bench._calls(Reply("", tool_calls=(call("run", text),)), "assistant") is None


@EMPTY
def test_tau2_reads_a_call_without_arguments(text: str | None) -> None:
    bench = bare(Tau2, messages=SimpleNamespace(ToolCall=SimpleNamespace))
    (made,) = bench._calls(Reply("", tool_calls=(call("run", text),)), "assistant")
    assert made.arguments == {}


@unusable
def test_aime_with_python_tells_the_model_what_is_wrong_with_its_call(text: str) -> None:
    assert bare(AimePython)._run(call("python", text)).startswith("error: ")


@EMPTY
def test_aime_with_python_needs_code(text: str | None) -> None:
    assert bare(AimePython)._run(call("python", text)).startswith("error: ")
