"""Every form holds the facts, and the words vary."""

from dataclasses import replace

import numpy as np
import pytest

from gym.repositories.issue_facts import Facts, holds_facts
from gym.repositories.issue_forms import FORMS
from gym.repositories.issue_text import write_test_text, write_text
from gym.repositories.snippets import ENDLESS, Failure, ProvenCall
from gym.repositories.task import Snippet

IMPORTS = ("from shapes import area",)


def call(expression: str, good: str, broken: str, *setup: str, relation: str = "equal") -> ProvenCall:
    code = "\n".join([*IMPORTS, *setup, expression])
    frames = (
        ("report.py", 2, "<module>", expression),
        ("shapes/outer.py", 4, "outer", "return inner(points)"),
        ("shapes/plane.py", 40, "inner", "secret(points)"),
    )
    shown = frames if broken.startswith("!") else ()
    return ProvenCall(Snippet(code, expression, good, broken), IMPORTS, setup, relation, 2, shown)


CALLS = {
    "wrong": call("area(POINTS[::-1])", "4.0", "-4.0"),
    "crash": call("area([(0, 0), (2, 0)])", "0.0", "!NameError: name 'x' is not defined"),
    "silent": call("area([])", "!ValueError: too few", "0.0", relation="raises"),
    "other": call("area([])", "!ValueError: too few", "!IndexError: list index out of range", relation="raises"),
    "message": call("area([])", "!ValueError: too few", "!ValueError: too many", relation="raises"),
    "endless": call("area([1])", "7.5", ENDLESS),
}
LONG = call("area(points)", repr(list(range(60))), "'one\\n`two`'", "def f(x):\n    return x", "points = f([1])")


def facts(one: ProvenCall, *more: ProvenCall) -> Facts:
    return Facts(
        project="shapes",
        version="1.0",
        proven=(one, *more),
        name="area",
        quote="The enclosed area of a polygon.",
        tests=("tests/test_plane.py::test_area",),
        failing=3,
        hidden=("shapes/plane.py",),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", CALLS)
def test_forms_hold_the_facts(form: str, kind: str) -> None:
    told = facts(CALLS[kind], call("area([5])", "5", "6"), call("area([7])", "7", "8"))
    for seed in range(20):
        text = write_text(told, form, np.random.default_rng(seed))
        if text is not None:
            assert holds_facts(text, CALLS[kind]), text
            assert "{" not in text.replace("{'", ""), text
            assert "shapes/plane.py" not in text, text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_fits_a_crash_or_says_why_not(form: str) -> None:
    told = facts(CALLS["crash"], call("area([5])", "5", "6"))
    assert write_text(told, form, np.random.default_rng(1)) is not None


def test_forms_that_do_not_fit() -> None:
    rng = np.random.default_rng(1)
    assert write_text(facts(CALLS["wrong"]), "traceback", rng) is None
    assert write_text(facts(CALLS["wrong"]), "calls", rng) is None
    assert write_text(facts(LONG), "prose", rng) is None
    assert write_text(facts(LONG), "line", rng) is None
    assert write_text(facts(CALLS["silent"]), "assertion", rng) is None


@pytest.mark.parametrize("form", ["session", "block", "headings", "report"])
def test_long_values_stand_in_blocks(form: str) -> None:
    text = write_text(facts(LONG), form, np.random.default_rng(3))
    assert text is not None
    assert f"```\n{LONG.snippet.good}\n```" in text
    assert "'one\\n`two`'" in text


def test_what_fails_before_the_expression_is_no_session() -> None:
    one = replace(LONG, in_setup=True)
    for form in ("session", "comments", "documentation"):
        assert write_text(facts(one), form, np.random.default_rng(3)) is None
    assert write_text(facts(one), "block", np.random.default_rng(3)) is not None


def test_traceback_ends_before_the_changed_file() -> None:
    text = write_text(facts(CALLS["crash"]), "traceback", np.random.default_rng(2))
    assert text is not None
    assert 'File "shapes/outer.py", line 4, in outer\n    return inner(points)\n  ...\nNameError:' in text
    assert "secret" not in text and "inner(points)" in text


def test_assertion_of_a_comparison_is_a_statement_of_its_own() -> None:
    one = call("area(POINTS) > 3", "True", "False", relation="condition")
    text = write_text(facts(one), "assertion", np.random.default_rng(2))
    assert text is not None and "assert area(POINTS) > 3\n" in text


def test_equal_seeds_give_equal_texts_and_others_differ() -> None:
    told = facts(CALLS["wrong"], call("area([5])", "5", "6"))
    texts = {form: [write_text(told, form, np.random.default_rng(seed)) for seed in range(40)] for form in FORMS}
    again = {form: [write_text(told, form, np.random.default_rng(seed)) for seed in range(40)] for form in FORMS}
    assert texts == again
    for form, made in texts.items():
        assert form == "traceback" or len(set(made)) > 30, form


def test_thousands_of_skeletons() -> None:
    told = facts(CALLS["crash"], call("area([5])", "5", "6"))
    names = list(FORMS)
    rngs = (np.random.default_rng([9, seed]) for seed in range(3000))
    assert len({write_text(told, names[k % len(names)], rng) for k, rng in enumerate(rngs)}) > 2500


def test_a_quoted_test() -> None:
    failure = Failure(
        "tests/test_a.py::test_area", (), "AssertionError", "assert 1 == 2", "def test_area():\n    assert f() == 2"
    )
    for seed in range(20):
        text = write_test_text(failure, "shapes", np.random.default_rng(seed))
        assert f"```python\n{failure.source}\n```" in text
        assert "AssertionError: assert 1 == 2" in text
        assert "test_area" in text.splitlines()[0]
