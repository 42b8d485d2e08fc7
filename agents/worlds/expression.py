"""Expressions in application files: arithmetic, comparison and paths over records, nothing else.

    seats <= train.seats
    ticket.train.departs - today >= 1
    count(ticket, each.train == train and each.status == booked)

Dates take whole days: a date plus a number is a date, the difference of two is a number. Names of enum values are
their own values. `count`, `total` and `all` look at every record of an entity, bound to `each`.
"""

import ast
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar, Protocol

from agents.tools.expression import ARITHMETIC, COMPARISONS, Compiler, Evaluate, Operation, Scope, number

WORLD = "$world"  # the scope's key of what `count` looks through
LONGEST = 400  # characters of an expression
LITERALS: Mapping[str, Any] = {"true": True, "false": False, "null": None}


class ExpressionError(ValueError):
    """An expression that can't be read, or that has no value."""


class Records(Protocol):
    """A record as an expression sees it; equal when entity and id are."""

    def get(self, name: str) -> Any: ...


class Tables(Protocol):
    def records(self, entity: str) -> list[Records]: ...


def compiled(text: str, names: Set[str], values: Set[str], entities: Set[str]) -> Evaluate:
    """What evaluates the expression in a scope.

    Args:
        names: roots that the scope will hold. values: of enums. entities: that `count`, `total` and `all` take.

    Raises:
        ExpressionError: it is none of the language.
    """
    value = _Expression(text, names, values, entities).of(_parsed(text))

    def evaluate(scope: Scope) -> Any:
        try:
            return value(scope)
        except (TypeError, ValueError, KeyError, ArithmeticError) as error:
            raise ExpressionError(f"{text!r}: {error}") from None

    return evaluate


def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ExpressionError(f"{text[:60]!r}... is longer than {LONGEST} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two of many brackets
        raise ExpressionError(f"{text!r} is no expression") from None


def _each(scope: Scope, entity: str) -> list[Scope]:
    return [{**scope, "each": record} for record in scope[WORLD].records(entity)]


def _field(record: Any, name: str) -> Any:
    if record is None:
        return None
    try:
        return record.get(name)
    except (AttributeError, KeyError):
        raise ExpressionError(f"no field {name!r}") from None


def _add(left: Any, right: Any) -> Any:
    return left + timedelta(days=number(right)) if isinstance(left, date) else number(left) + number(right)


def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, date):
        return (left - right).days if isinstance(right, date) else left - timedelta(days=number(right))
    return number(left) - number(right)


def _round(value: Any, digits: int | None = None) -> Any:
    if digits is not None and not 0 <= digits <= 6:  # of a whole number, Python would first make ten to this power
        raise ValueError(f"{digits} digits")
    return round(value, digits)


def _ordered(test: Operation) -> Operation:
    return lambda left, right: left is not None and right is not None and test(left, right)  # nothing has no order


ORDERED: Mapping[type[ast.cmpop], Operation] = {
    op: _ordered(COMPARISONS[op]) for op in (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
}


class _Expression(Compiler):
    arithmetic: ClassVar = {**ARITHMETIC, ast.Add: _add, ast.Sub: _subtract}
    comparisons: ClassVar = {**COMPARISONS, **ORDERED}
    functions: ClassVar = {"min": min, "max": max, "round": _round, "abs": abs}

    def __init__(self, text: str, names: Set[str], values: Set[str], entities: Set[str]) -> None:
        self.text, self.names, self.values, self.entities = text, names, values, entities

    def of(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.Attribute(value=inner, attr=name):
                record = self.of(inner)
                return lambda scope: _field(record(scope), name)
            case ast.Call(func=ast.Name(id="count" | "total" | "all" as name), args=args, keywords=[]):
                return self._over_records(name, args)
        return super().of(node)

    def name(self, name: str) -> Evaluate:
        if name in LITERALS:
            literal = LITERALS[name]
            return lambda scope: literal
        if name in self.names:
            return lambda scope: scope[name]
        if name in self.values:
            return lambda scope: name
        raise ExpressionError(f"{self.text!r}: nothing is called {name!r}")

    def refused(self, node: ast.expr) -> ExpressionError:
        match node:
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return ExpressionError(f"{self.text!r}: {name}() is not allowed like this")
        return ExpressionError(f"{self.text!r}: {ast.unparse(node)!r} is not allowed")

    def _over_records(self, name: str, args: list[ast.expr]) -> Evaluate:
        match name, args:
            case "total", [ast.Name(id=entity), of, *rest] if entity in self.entities and len(rest) < 2:
                inner = self._of_each()
                value, test = inner.of(of), inner.of(rest[0]) if rest else lambda scope: True
                return lambda scope: sum(value(s) for s in _each(scope, entity) if test(s))
            case "all", [ast.Name(id=entity), of] if entity in self.entities:
                test = self._of_each().of(of)
                return lambda scope: all(test(s) for s in _each(scope, entity))
            case "count", [ast.Name(id=entity), of] if entity in self.entities:
                test = self._of_each().of(of)
                return lambda scope: sum(bool(test(s)) for s in _each(scope, entity))
        raise ExpressionError(f"{self.text!r}: {name}() is not allowed like this")

    def _of_each(self) -> "_Expression":
        return _Expression(self.text, self.names | {"each"}, self.values, self.entities)


@dataclass(frozen=True)
class Path:
    """Names after a root: `ticket.train.departs`. each: the entity whose records the root `each` stands for."""

    root: str
    names: tuple[str, ...]
    each: str = ""


def paths(text: str) -> tuple[Path, ...]:
    """The paths over records in an expression that `compiled` takes: `ticket.train.departs - today` has one."""
    return tuple(dict.fromkeys(_paths(_parsed(text), "")))


def _paths(node: ast.AST, each: str) -> Iterator[Path]:
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.insert(0, inner.attr)
        inner = inner.value
    if names and isinstance(inner, ast.Name):
        yield Path(inner.id, tuple(names), each if inner.id == "each" else "")
        return
    match inner:
        case ast.Call(func=ast.Name(id="count" | "total" | "all"), args=[ast.Name(id=entity), *_]):
            each = entity
    for child in ast.iter_child_nodes(inner):
        yield from _paths(child, each)
