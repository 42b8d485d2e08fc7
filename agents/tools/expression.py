"""Expressions in Python's own syntax as functions of a scope; no code runs but what is listed here.

Numbers, texts and lists; arithmetic on numbers, comparison, `and`, `or`, `not`, `a if b else c`; calls of given
functions. A language made of them says what its names are, and what else it has.
"""

import ast
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]
Operation = Callable[[Any, Any], Any]


def number(value: Any) -> Any:
    """Raises TypeError for what is none: Python would repeat a text, or fill it like a template."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value


def numeric(operation: Operation) -> Operation:
    """An operation on numbers alone."""
    return lambda left, right: operation(number(left), number(right))


ARITHMETIC: Mapping[type[ast.operator], Operation] = {
    ast.Add: numeric(operator.add),
    ast.Sub: numeric(operator.sub),
    ast.Mult: numeric(operator.mul),
    ast.Div: numeric(operator.truediv),
    ast.FloorDiv: numeric(operator.floordiv),
    ast.Mod: numeric(operator.mod),
}
COMPARISONS: Mapping[type[ast.cmpop], Operation] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}


class Compiler(ABC):
    """Compiles the nodes of one expression.

    Attributes:
        functions: that may be called, with one argument or more.
    """

    arithmetic: ClassVar[Mapping[type[ast.operator], Operation]] = ARITHMETIC
    comparisons: ClassVar[Mapping[type[ast.cmpop], Operation]] = COMPARISONS
    functions: ClassVar[Mapping[str, Callable[..., Any]]]

    def of(self, node: ast.expr) -> Evaluate:
        """Raises what `refused` and `name` say. A language with further nodes matches them and leaves the rest here."""
        match node:
            case ast.Constant(value=value) if isinstance(value, (str, int, float)) or value is None:
                return lambda scope: value
            case ast.Name(id=name):
                return self.name(name)
            case ast.BoolOp(op=op, values=parts):
                return self._either(parts, until=isinstance(op, ast.Or))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.of(operand)
                return lambda scope: not inner(scope)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.of(operand)
                return lambda scope: -inner(scope)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in self.arithmetic:
                operation, first, second = self.arithmetic[type(op)], self.of(left), self.of(right)
                return lambda scope: operation(first(scope), second(scope))
            case ast.Compare(left=left, ops=ops, comparators=rights) if all(type(op) in self.comparisons for op in ops):
                return self._comparison(left, ops, rights)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition, yes, no = self.of(test), self.of(body), self.of(orelse)
                return lambda scope: yes(scope) if condition(scope) else no(scope)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                items = [self.of(element) for element in elements]
                return lambda scope: [item(scope) for item in items]
            case ast.Call(func=ast.Name(id=name), args=[_, *_] as args, keywords=[]) if name in self.functions:
                function, given = self.functions[name], [self.of(arg) for arg in args]
                return lambda scope: function(*(value(scope) for value in given))
        raise self.refused(node)

    @abstractmethod
    def name(self, name: str) -> Evaluate:
        """What a name stands for."""

    @abstractmethod
    def refused(self, node: ast.expr) -> ValueError:
        """The error about what is not of the language."""

    def _either(self, parts: list[ast.expr], *, until: bool) -> Evaluate:
        """The first part whose truth is `until`, else the last."""
        *parts_of, last = [self.of(part) for part in parts]

        def evaluate(scope: Scope) -> Any:
            for part in parts_of:
                value = part(scope)
                if bool(value) is until:
                    return value
            return last(scope)

        return evaluate

    def _comparison(self, left: ast.expr, ops: list[ast.cmpop], rights: list[ast.expr]) -> Evaluate:
        first = self.of(left)
        rest = [(self.comparisons[type(op)], self.of(right)) for op, right in zip(ops, rights, strict=True)]

        def evaluate(scope: Scope) -> bool:
            value = first(scope)
            for test, operand in rest:  # as in Python, nothing is computed after the first that does not hold
                before, value = value, operand(scope)
                if not test(before, value):
                    return False
            return True

        return evaluate
