"""Formulas of authored tools: arithmetic on a call's arguments, checked when it is read.

Only numbers, comparisons, lists and the functions below can be written: no attribute, no other name.
"""

import ast
import math
from collections.abc import Iterable, Mapping
from datetime import date
from types import CodeType
from typing import Any

PLAIN = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Constant, ast.Name,
    ast.List, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.Subscript, ast.Slice, ast.Starred, ast.operator,
    ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
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
        abs, len, max, min, range, round, sum, mean, median, deviation, days, factors, in_base,
        renamed, packed,
        math.atan, math.ceil, math.comb, math.cos, math.degrees, math.gcd, math.radians, math.sin, math.sqrt,
    )
}  # fmt: skip
FUNCTIONS |= {"pi": math.pi, "meters": METERS.__getitem__, "grams": GRAMS.__getitem__, "friction": FRICTION.__getitem__}


def compiled(text: str, names: Iterable[str]) -> CodeType:
    """The code of a formula over values with these names.

    Raises:
        ValueError: it is no expression, or holds what no formula may.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        raise ValueError(f"no formula {text!r}") from None
    known = {*FUNCTIONS, *names}
    known |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if not isinstance(node, PLAIN):
            raise ValueError(f"formula {text!r}: {type(node).__name__} is not allowed")
        if isinstance(node, ast.Name) and node.id not in known:
            raise ValueError(f"formula {text!r}: unknown name {node.id}")
    return compile(tree, text, "eval")


def computed(code: CodeType, values: Mapping[str, Any]) -> Any:
    """The formula's value; numbers are rounded as people read them."""
    return _rounded(eval(code, {"__builtins__": {}, **FUNCTIONS, **values}))


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if not isinstance(value, float):
        return value
    rounded = round(value, 2) if abs(value) >= 1 else round(float(f"{value:.3g}"), 6)
    return int(rounded) if rounded.is_integer() else rounded
