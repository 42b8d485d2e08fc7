"""Formulas of authored tools: arithmetic, and nothing that could do more."""

import pytest

from agents.tools.formulas import compiled, computed


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("base * height / 2", {"base": 3, "height": 5}, 7.5),
        ("sqrt(a ** 2 + b ** 2)", {"a": 3, "b": 4}, 5),
        ("mean(xs)", {"xs": [1, 2, 6]}, 3),
        ("deviation(xs, True)", {"xs": [2, 4, 4, 4, 5, 5, 7, 9]}, 2.14),
        ("days(first, last)", {"first": "2024-02-27", "last": "2024-03-01"}, 3),
        ("factors(n)", {"n": 360}, [2, 2, 2, 3, 3, 5]),
        ("in_base(n, 16)", {"n": 255}, "ff"),
        ("sum([x for x in xs if x > 1])", {"xs": [1, 2, 3]}, 5),
        ("0.0123456 * x", {"x": 1}, 0.0123),
    ],
)
def test_a_formula_gives(text: str, values: dict[str, object], result: object) -> None:
    assert computed(compiled(text, values), values) == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x.__class__", "Attribute is not allowed"),
        ("(lambda: 1)()", "Lambda is not allowed"),
        ("open(x)", "unknown name open"),
        ("y + 1", "unknown name y"),
        ("x +", "no formula"),
        ("x := 1", "no formula"),
    ],
)
def test_what_no_formula_may_hold_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compiled(text, ["x"])
