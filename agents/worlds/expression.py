"""Expressions in application files: arithmetic, comparison and paths over records, nothing else.

    seats <= train.seats
    ticket.train.departs - today >= 1
    count(ticket, each.train == train and each.status == booked)

Dates take whole days: a date plus a number is a date, the difference of two is a number. Names of enum values are
their own values. `count`, `total` and `all` look at every record of an entity, bound to `each`.
"""

import ast
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]
WORLD = "$world"  # the scope's key of what `count` looks through
LONGEST = 400  # characters of an expression


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
    value = _Compiler(text, names, values, entities).of(_parsed(text))

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


class _Compiler:
    def __init__(self, text: str, names: Set[str], values: Set[str], entities: Set[str]) -> None:
        self.text, self.names, self.values, self.entities = text, names, values, entities

    def of(self, node: ast.expr) -> Evaluate:
        match node:
            case ast.Constant(value=value) if isinstance(value, (str, int, float, bool)) or value is None:
                return lambda scope: value
            case ast.Name(id=name):
                return self._name(name)
            case ast.Attribute(value=inner, attr=name):
                record = self.of(inner)
                return lambda scope: _field(record(scope), name)
            case ast.BoolOp(op=op, values=parts):
                each = [self.of(part) for part in parts]
                if isinstance(op, ast.And):
                    return lambda scope: all(part(scope) for part in each)
                return lambda scope: any(part(scope) for part in each)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner_of = self.of(operand)
                return lambda scope: not inner_of(scope)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner_of = self.of(operand)
                return lambda scope: -inner_of(scope)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                operation, first, second = ARITHMETIC[type(op)], self.of(left), self.of(right)
                return lambda scope: operation(first(scope), second(scope))
            case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in COMPARISONS for op in ops):
                return self._comparison(left, ops, rights)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition, yes, no = self.of(test), self.of(body), self.of(orelse)
                return lambda scope: yes(scope) if condition(scope) else no(scope)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                parts_of = [self.of(element) for element in elements]
                return lambda scope: [part(scope) for part in parts_of]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(name, args)
        raise ExpressionError(f"{self.text!r}: {ast.unparse(node)!r} is not allowed")

    def _name(self, name: str) -> Evaluate:
        if name in LITERALS:
            literal = LITERALS[name]
            return lambda scope: literal
        if name in self.names:
            return lambda scope: scope[name]
        if name in self.values:
            return lambda scope: name
        raise ExpressionError(f"{self.text!r}: nothing is called {name!r}")

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], rights: list[ast.expr]) -> Evaluate:
        first = self.of(left)
        rest = [(COMPARISONS[type(op)], self.of(right)) for op, right in zip(ops, rights, strict=True)]

        def evaluate(scope: Scope) -> bool:
            value = first(scope)
            for test, operand in rest:  # as in Python, nothing is computed after the first that does not hold
                before, value = value, operand(scope)
                if not test(before, value):
                    return False
            return True

        return evaluate

    def _call(self, name: str, args: list[ast.expr]) -> Evaluate:
        if name in FUNCTIONS and args:
            function, parts = FUNCTIONS[name], [self.of(arg) for arg in args]
            return lambda scope: function(*(part(scope) for part in parts))
        over = args[0].id if args and isinstance(args[0], ast.Name) else ""
        if name in ("count", "total", "all") and over in self.entities:
            entity = over
            inner = _Compiler(self.text, self.names | {"each"}, self.values, self.entities)
            if name == "total" and len(args) in (2, 3):
                value = inner.of(args[1])
                test = inner.of(args[2]) if len(args) == 3 else lambda scope: True
                return lambda scope: sum(value(s) for s in _each(scope, entity) if test(s))
            if len(args) == 2:
                test = inner.of(args[1])
                if name == "all":
                    return lambda scope: all(test(s) for s in _each(scope, entity))
                return lambda scope: sum(bool(test(s)) for s in _each(scope, entity))
        raise ExpressionError(f"{self.text!r}: {name}() is not allowed like this")


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
    return left + timedelta(days=_number(right)) if isinstance(left, date) else _number(left) + _number(right)


def _subtract(left: Any, right: Any) -> Any:
    if isinstance(left, date):
        return (left - right).days if isinstance(right, date) else left - timedelta(days=_number(right))
    return _number(left) - _number(right)


def _number(value: Any) -> Any:
    if not isinstance(value, (int, float)):  # Python would repeat a text, or fill it like a template
        raise TypeError(f"{value!r} is no number")
    return value


def _round(value: Any, digits: int | None = None) -> Any:
    if digits is not None and not 0 <= digits <= 6:  # of a whole number, Python would first make ten to this power
        raise ValueError(f"{digits} digits")
    return round(value, digits)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda a, b: a is not None and b is not None and test(a, b)  # nothing is neither more nor less


LITERALS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: lambda a, b: _number(a) * _number(b),
    ast.Div: lambda a, b: _number(a) / _number(b),
    ast.FloorDiv: lambda a, b: _number(a) // _number(b),
    ast.Mod: lambda a, b: _number(a) % _number(b),
}
COMPARISONS: Mapping[type, Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: _ordered(lambda a, b: a < b),
    ast.LtE: _ordered(lambda a, b: a <= b),
    ast.Gt: _ordered(lambda a, b: a > b),
    ast.GtE: _ordered(lambda a, b: a >= b),
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "round": _round, "abs": abs}
