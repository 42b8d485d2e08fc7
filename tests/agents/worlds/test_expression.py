"""Expressions: what Python would compute on plain numbers, nothing where there is nothing, and never any code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from agents.worlds.expression import LONGEST, WORLD, ExpressionError, Path, compiled, paths

BASE = date(2026, 5, 11)
NAMES = {"a", "b", "c", "d", "e", "k"}
numbers = st.integers(-50, 50)


def _binary(inner: st.SearchStrategy[str], *operators: str) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(operators), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")


days = st.recursive(
    st.sampled_from(["d", "e"]),
    lambda inner: st.tuples(inner, st.sampled_from("+-"), numbers.map(abs)).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=3,
)
arithmetic = st.recursive(
    st.one_of(st.sampled_from(["a", "b", "c"]), numbers.map(abs).map(str), days.map(lambda day: f"({day} - d)")),
    lambda inner: st.one_of(
        _binary(inner, "+", "-", "*"),
        _binary(inner, "//", "%", "/"),
        inner.map(lambda x: f"-{x}"),
        inner.map(lambda x: f"abs({x})"),
        st.tuples(inner, inner).map(lambda t: f"min({t[0]}, {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]}, 3)"),
        inner.map(lambda x: f"round({x}, 1)"),
    ),
    max_leaves=5,
)
comparisons = st.one_of(
    _binary(arithmetic, "<", "<=", ">", ">=", "==", "!="),
    _binary(days, "<", "<=", ">", ">=", "==", "!="),
    st.tuples(arithmetic, arithmetic).map(lambda t: f"({t[0]} in [{t[1]}, 3, a])"),
    st.tuples(arithmetic, arithmetic).map(lambda t: f"(1 < {t[0]} <= {t[1]})"),
)
tests = st.recursive(
    comparisons, lambda inner: st.one_of(_binary(inner, "and", "or"), inner.map(lambda x: f"(not {x})")), max_leaves=4
)
choices = st.tuples(arithmetic, tests, arithmetic).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})")


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(arithmetic, tests, choices), a=numbers, b=numbers, c=st.floats(-9, 9), d=numbers, e=numbers)
def test_it_computes_what_python_does(text: str, a: int, b: int, c: float, d: int, e: int) -> None:
    """Python sees days as their ordinals."""
    if len(text) > LONGEST:
        return
    scope = {"a": a, "b": b, "c": c, "d": BASE + timedelta(days=d), "e": BASE + timedelta(days=e)}
    plain = {"a": a, "b": b, "c": c, "d": (BASE + timedelta(days=d)).toordinal()}
    plain["e"] = (BASE + timedelta(days=e)).toordinal()
    try:
        wanted = eval(text, {"min": min, "max": max, "abs": abs, "round": round}, plain)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError):
            compiled(text, NAMES, set(), set())(scope)
        return
    assert compiled(text, NAMES, set(), set())(scope) == wanted


def test_what_follows_a_comparison_that_does_not_hold_is_not_computed() -> None:
    assert compiled("1 < a <= b / a", NAMES, set(), set())({"a": 0, "b": 4}) is False
    with pytest.raises(ExpressionError):
        compiled("-1 < a <= b / a", NAMES, set(), set())({"a": 0, "b": 4})


@given(day=days, d=numbers, e=numbers)
def test_days_move_by_whole_days(day: str, d: int, e: int) -> None:
    scope = {"d": BASE + timedelta(days=d), "e": BASE + timedelta(days=e)}
    value = compiled(day, NAMES, set(), set())(scope)
    assert value.toordinal() == eval(day, {}, {name: when.toordinal() for name, when in scope.items()})


class Row:
    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, name: str) -> Any:
        return self.values[name]


class Tables:
    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self.rows = rows

    def records(self, entity: str) -> list[Any]:
        return self.rows[entity]


TRAIN, OTHER = Row(id="T1", seats=3), Row(id="T2", seats=None)
TICKETS = [
    Row(train=TRAIN, paid=10, status="booked"),
    Row(train=TRAIN, paid=20.5, status="used"),
    Row(train=OTHER, paid=7, status="booked"),
]


def value(text: str, **scope: Any) -> Any:
    made = compiled(text, {*scope, "today"}, {"booked", "used", "on hold"}, {"ticket", "train"})
    return made({**scope, "today": BASE, WORLD: Tables({"ticket": TICKETS, "train": [TRAIN, OTHER]})})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("count(ticket, each.train == train)", 2),
        ("count(ticket, each.train == train and each.status == booked)", 1),
        ("count(ticket, true)", 3),
        ("count(ticket, each.paid > 100)", 0),
        ("total(ticket, each.paid)", 37.5),
        ("total(ticket, each.paid, each.train == train)", 30.5),
        ("total(ticket, each.paid * 2, each.status in [booked, used])", 75),
        ("total(ticket, each.paid, false)", 0),
        ("all(ticket, each.status == booked)", False),
        ("all(ticket, each.paid > 5)", True),
        ("count(train, count(ticket, each.paid > 9) == 2)", 2),  # the inner `each` is a ticket
        ("train.seats - 1", 2),
        ("'on hold' == status", True),
        ("status == booked", False),
    ],
)
def test_records_of_a_table_are_counted_summed_and_tested(text: str, wanted: Any) -> None:
    assert value(text, train=TRAIN, status="on hold") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x == null", True),
        ("x != null", False),
        ("x < 3", False),
        ("x >= 3", False),
        ("3 > x", False),
        ("x.seats", None),
        ("x.seats.id == null", True),
        ("x in [1, null]", True),
        ("not x", True),
        ("0 if x == null else x + 1", 0),
        ("train.seats < 3", False),
        ("train.seats >= 0", False),
    ],
)
def test_nothing_is_neither_more_nor_less_and_has_no_fields(text: str, wanted: Any) -> None:
    assert value(text, x=None, train=OTHER) == wanted


@pytest.mark.parametrize(
    "text",
    ["x + 1", "x - 1", "-x", "round(x)", "max(x, 1)", "3 in x", "today + x", "total(ticket, each.train)", "abs('a')",
     "'a' * 3", "'%s' % 3", "'a' + 'b'", "today - 'a'", "1 / 0", "1 % 0", "today < 3", "today + 99999999999",
     "round(5, 9999999)", "train.nothing", "today.year", "min(1)", "3 < 'a'"],
)  # fmt: skip
def test_what_has_no_value_is_one_error_that_quotes_it(text: str) -> None:
    with pytest.raises(ExpressionError) as error:
        value(text, x=None, train=TRAIN)
    assert repr(text) in str(error.value) and "\n" not in str(error.value)


WATCHED = ("open", "import", "exec", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "code.", "marshal.")
_seen: list[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event.startswith(WATCHED):
        _seen.append(f"{event} {arguments}"[:200])


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[None]:
    """Fails when anything was imported, opened, executed or started."""
    global _seen
    _seen = []
    try:
        yield
        assert _seen == []
    finally:
        _seen = None


nasty = st.sampled_from(
    "__import__('os').system('id')|x.__class__.__base__.__subclasses__()|open('x')|exec('import os')|eval('1')"
    "|lambda: 1|[y for y in x]|{1: 2}|{1}|f'{x}'|x[0]|x[:]|*x|(y := x)|yield|await x|getattr(x, 'a')|x.get|x.get('a')"
    "|print|dir()|x @ x|x << 3|x ** 9|~x|x is None|b'a'|1j|...|globals()|breakpoint()|count|count(x)|total(1)|all()"
    "|count(ticket, open)|min|min(1, key=x)|type(x)|x.__dict__|today.today()|train.values|train.get"
    "|'{0.__class__}'.format(x)|True|None|''".split("|")
)  # fmt: skip
pieces = st.recursive(
    st.one_of(nasty, arithmetic, tests),
    lambda inner: st.one_of(
        _binary(inner, "+", "-", "*", "/", "%", "==", "in", "and", "or", ".", "if"),
        st.tuples(st.sampled_from(["min", "abs", "round", "open", "count", "x.y", "__import__"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
        inner.map(lambda x: f"total(ticket, {x}, each.{x})"),
    ),
    max_leaves=4,
)


@settings(max_examples=600, deadline=None)
@given(text=st.one_of(pieces, st.text(max_size=40)))
def test_nothing_in_an_expression_runs_code(text: str) -> None:
    plain = (int, float, str, bool, date, Row, list, type(None))
    scope = {"x": TRAIN, "train": TRAIN, "a": 1, "b": 2.5, "c": 3, "d": BASE, "e": BASE, "today": BASE}
    with watched():
        try:
            made = compiled(text, scope.keys(), {"booked"}, {"ticket"})
            result = made({**scope, WORLD: Tables({"ticket": TICKETS})})
        except ExpressionError:
            return
    assert isinstance(result, plain), text


def test_the_watch_sees_what_python_itself_would_run() -> None:
    with pytest.raises(AssertionError), watched():
        eval("__import__('os').listdir('/')")


@pytest.mark.parametrize("text", ["(" * 150 + "1" + ")" * 150, "-" * 390 + "1", "1" * 401, "\x00", "1 +\n", "", "a b"])
def test_what_is_too_deep_or_long_is_no_expression(text: str) -> None:
    try:
        assert compiled(text, set(), set(), set())({}) == 1  # Python itself reads it
    except ExpressionError as error:
        assert "\n" not in str(error)


def test_paths_name_what_is_looked_at_and_whose_records_each_are() -> None:
    inner = "count(job, each.bike.owner == ticket.owner and total(part, each.price) > 0)"
    text = f"ticket.train.departs - today < 1 and {inner}"
    assert set(paths(text)) == {
        Path("ticket", ("train", "departs")),
        Path("each", ("bike", "owner"), "job"),
        Path("ticket", ("owner",)),
        Path("each", ("price",), "part"),
    }
    assert paths("today + 1") == ()
