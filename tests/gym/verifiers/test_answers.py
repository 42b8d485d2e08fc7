import json
import time
from collections.abc import Iterator

import pytest

from gym.verifiers.exact import exact
from gym.verifiers.logic_grid import solve_rate
from gym.verifiers.math import MathVerifier
from gym.verifiers.result import Status
from gym.verifiers.schema import json_schema, tool_calls


@pytest.fixture(scope="module")
def verify() -> Iterator[MathVerifier]:
    with MathVerifier() as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("\\frac{1}{2}", "So it is $\\boxed{0.5}$.", True),
        ("204", "The answer is \\boxed{204}", True),
        ("204", "The answer is 205.", False),
        ("2\\sqrt{3}", "$\\boxed{\\sqrt{12}}$", True),
        ("(1, 2)", "\\boxed{(1,2)}", True),
        ("x^2+2x+1", "\\boxed{(x+1)^2}", True),
        ("7", "first \\boxed{3}, no: \\boxed{7}", True),
    ],
)
def test_math(verify: MathVerifier, gold: str, answer: str, right: bool) -> None:
    found = verify(gold, answer)
    assert (found.status, found.score) == (Status.SCORED, float(right)), found


def test_no_answer_a_hang_and_a_bad_gold_are_three_things(verify: MathVerifier) -> None:
    assert verify("1", "").status is Status.NO_ANSWER
    assert verify("1", "I do not know").status is Status.NO_ANSWER
    assert verify("", "\\boxed{1}").status is Status.VERIFIER_ERROR
    with MathVerifier(timeout_s=1.0) as short:
        assert short("1", "\\boxed{1}").score == 1.0
        started = time.monotonic()
        hung = short("1", "\\boxed{" + "9^{" * 12 + "9" + "}" * 12 + "}")
        assert hung.status in (Status.TIMEOUT, Status.VERIFIER_ERROR, Status.NO_ANSWER)
        assert hung.score != 1.0
        assert time.monotonic() - started < 20
        assert short("1", "\\boxed{1}").score == 1.0  # the next one is judged


def test_exact_is_squads_rule() -> None:
    assert exact("The  Eiffel-Tower!", ["eiffeltower"]).score == 1.0
    assert exact("Paris, France", ["Paris"]).score == 0.0
    assert exact(" ", ["x"]).status is Status.NO_ANSWER


def test_schema_and_calls() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert json_schema('{"n": 1}', schema).score == 1.0
    assert json_schema('{"n": "1"}', schema).score == 0.0
    assert "not JSON" in json_schema("{n: 1}", schema).reason
    assert json_schema("{}", {"type": "nothing"}).status is Status.VERIFIER_ERROR
    for endless_or_missing in ({"$ref": "#"}, {"$ref": "#/$defs/gone"}, {"$ref": "http://host.invalid/schema"}):
        assert json_schema("{}", endless_or_missing).status is Status.VERIFIER_ERROR
    tools = [{"function": {"name": "f", "parameters": schema}}]

    def call(name: str, arguments: str) -> dict[str, object]:
        return {"function": {"name": name, "arguments": arguments}}

    assert tool_calls([call("f", '{"n": 2}')], tools).score == 1.0
    assert tool_calls([call("f", '{"n": 2}'), call("f", "{}")], tools).score == 0.0
    assert tool_calls([call("g", "{}")], tools).reason == "undeclared tool g"
    assert tool_calls([], tools).status is Status.NO_ANSWER
    bare = [{"type": "function", "function": {"name": "f", "parameters": None}}]
    assert tool_calls([call("f", "{}")], bare).score == 1.0


def test_a_pattern_that_backtracks_for_hours_or_is_none_is_a_verifiers_error() -> None:
    text = json.dumps("a" * 64 + "b")
    slow = json_schema(text, {"pattern": r"(?=a)(a|aa)+$"})
    assert (slow.status, slow.score) == (Status.VERIFIER_ERROR, None) and "takes more than" in slow.reason
    for pattern in ("(", "(?L)a", "a{99999999999}"):
        none = json_schema(text, {"pattern": pattern})
        assert (none.status, none.score) == (Status.VERIFIER_ERROR, None), pattern


def test_logic_grids_count_cells_and_the_whole() -> None:
    gold = {"House 1": {"Name": "Eric", "Pet": "cat"}, "House 2": {"Name": "Arnold", "Pet": "dog"}}
    whole = 'thinking {"x": 1} ... {"reasoning": "r", "solution": {"House 1": {"Name": "eric", "Pet": ["cat"]}, '
    whole += '"House 2": {"Name": "Arnold ", "Pet": "dog"}}}'
    result, share = solve_rate(whole, gold)
    assert (result.score, share) == (1.0, 1.0)
    result, share = solve_rate('{"House 1": {"Name": "Eric"}}', gold)
    assert (result.score, share) == (0.0, 0.25)
    assert solve_rate("no", gold)[0].status is Status.NO_ANSWER
