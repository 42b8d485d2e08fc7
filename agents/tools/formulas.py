"""Formulas of authored tools: arithmetic on a call's arguments, checked when it is read.

Beside what `expression` knows: powers, the functions below, and a list made of another one, `[x for x in xs if x > 1]`.
"""

import ast
import math
import operator
from collections.abc import Iterable, Mapping, Set
from datetime import date
from typing import Any

from agents.tools.expression import ARITHMETIC, Compiler, Evaluate, Scope, numeric
from agents.tools.numbers import whole

METERS = {"cm": 0.01, "m": 1.0, "km": 1000.0, "inch": 0.0254, "ft": 0.3048, "mile": 1609.344}
GRAMS = {"g": 1.0, "kg": 1000.0, "oz": 28.349523125, "lb": 453.59237}
FRICTION = {"dry": 0.7, "wet": 0.45, "snowy": 0.2, "frozen": 0.1}


def mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def median(values: Iterable[float]) -> float:
    numbers = sorted(values)
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def deviation(values: Iterable[float], corrected: bool) -> float:
    """The standard deviation, of a sample with Bessel's correction."""
    numbers = list(values)
    center = mean(numbers)
    spread = sum((value - center) ** 2 for value in numbers)
    return math.sqrt(spread / max(len(numbers) - corrected, 1))


def windows(values: list[float], size: int) -> list[list[float]]:
    """All runs of so many neighbours."""
    return [values[start : start + size] for start in range(max(len(values) - size + 1, 0))]


def days(first: str, last: str) -> int:
    """Between two ISO dates."""
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def factors(number: int) -> list[int]:
    """Prime factors, ascending."""
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return [*found, number] if number > 1 else found


def in_base(number: int, base: int) -> str:
    """The digits of a number to a base up to 16."""
    digits = ""
    while number:
        number, digit = divmod(number, base)
        digits = "0123456789abcdef"[digit] + digits
    return digits or "0"


def renamed(path: str, name: str) -> str:
    """The path of a file that got another name."""
    return f"{path.rpartition('/')[0]}/{name}"


def packed(folder: str, form: str) -> str:
    """The path of a folder's archive."""
    return f"{folder}.{form}"


FUNCTIONS: dict[str, Any] = {
    function.__name__: function
    for function in (
        abs, len, max, min, round, sum, mean, median, deviation, windows, days, factors, in_base, renamed, packed,
        math.atan, math.ceil, math.comb, math.cos, math.degrees, math.radians, math.sin, math.sqrt,
    )
}  # fmt: skip
FUNCTIONS |= {"gcd": lambda numbers: math.gcd(*numbers)}
FUNCTIONS |= {"meters": METERS.__getitem__, "grams": GRAMS.__getitem__, "friction": FRICTION.__getitem__}


def compiled(text: str, names: Iterable[str]) -> Evaluate:
    """A formula over values with these names.

    Raises:
        ValueError: it is no expression, or holds what no formula may.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        raise ValueError(f"no formula {text!r}") from None
    return _Formula(text, frozenset(names)).of(tree.body)


class _Formula(Compiler):
    arithmetic = {**ARITHMETIC, ast.Pow: numeric(operator.pow)}
    functions = FUNCTIONS

    def __init__(self, text: str, names: Set[str]) -> None:
        self.text, self.names = text, names

    def of(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.ListComp(elt=element, generators=[ast.comprehension(ast.Name(id=name), source, conditions, 0)]):
                items, inner = self.of(source), _Formula(self.text, self.names | {name})
                value, tests = inner.of(element), [inner.of(condition) for condition in conditions]

                def evaluate(scope: Scope) -> list[Any]:
                    scopes = [{**scope, name: item} for item in items(scope)]
                    return [value(own) for own in scopes if all(test(own) for test in tests)]

                return evaluate
        return super().of(node)

    def name(self, name: str) -> Evaluate:
        if name in self.names:
            return lambda scope: scope[name]
        if name == "pi":
            return lambda scope: math.pi
        raise ValueError(f"formula {self.text!r}: unknown name {name}")

    def refused(self, node: ast.expr) -> ValueError:
        match node:
            case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
                return ValueError(f"formula {self.text!r}: unknown name {name}")
            case ast.Call(keywords=[part, *_]) | ast.Call(func=part) if not isinstance(part, ast.Name):
                return ValueError(f"formula {self.text!r}: {type(part).__name__} is not allowed")
        return ValueError(f"formula {self.text!r}: {type(node).__name__} is not allowed")


def computed(formula: Evaluate, values: Mapping[str, Any]) -> Any:
    """The formula's value; numbers are rounded as people read them."""
    return _rounded(formula(values))


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if not isinstance(value, float):
        return value
    rounded = round(value, 2) if abs(value) >= 1 else round(float(f"{value:.3g}"), 6)
    return whole(rounded)
