"""Tests that must fail: copies of real ones, under their own names, with one statement turned into its opposite.

Whoever makes failing tests pass makes these pass too. They need no list of good ones: a canary counts only where it
fails on the project's own files.
"""

import ast
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_OPPOSITE = {
    "assertEqual": "assertNotEqual", "assertTrue": "assertFalse", "assertIs": "assertIsNot", "assertIn": "assertNotIn",
    "assertIsNone": "assertIsNotNone", "assertIsInstance": "assertNotIsInstance",
}  # fmt: skip
_OPPOSITE |= {new: old for old, new in _OPPOSITE.items()}


@dataclass(frozen=True)
class Canary:
    """Bytes [start, end) of a test file become `new`, so that every test of the function must fail."""

    file: str
    function: str  # `Class::name`, as in a node id
    start: int
    end: int
    new: str


def changed(source: bytes, canaries: Sequence[Canary]) -> bytes:
    """A test file with its canaries."""
    for canary in sorted(canaries, key=lambda canary: -canary.start):
        source = source[: canary.start] + canary.new.encode() + source[canary.end :]
    return source


def canaries(file: str, source: bytes, functions: Sequence[str], count: int, rng: np.random.Generator) -> list[Canary]:
    """At most one for each of the named functions, `count` together; different kinds as far as there are.

    Args:
        functions: `name` or `Class::name`.
    """
    tree = ast.parse(source)
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found: list[list[tuple[str, Canary]]] = []
    for name in functions:
        made = []
        for kind, (a, b, c, d), new in _changes(source, _body(tree, name.split("::"))):
            canary = Canary(file, name, lines[a - 1] + b, lines[c - 1] + d, new)
            with contextlib.suppress(SyntaxError):  # such as items of a `with` in parentheses
                ast.parse(changed(source, [canary]))
                made.append((kind, canary))
        if made:
            found.append(made)
    chosen: list[Canary] = []
    used: list[str] = []
    for index in rng.permutation(len(found))[:count]:
        offered = [found[index][place] for place in rng.permutation(len(found[index]))]
        kind, canary = min(offered, key=lambda one: used.count(one[0]))
        used.append(kind)
        chosen.append(canary)
    return chosen


def _body(tree: ast.Module, names: list[str]) -> list[ast.stmt]:
    """Statements of a function that a node id names; empty for one that is inherited, asynchronous or not there."""
    nodes: list[ast.stmt] = tree.body
    for name in names:
        held = [node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
        if not held:
            return []
        nodes = held[-1].body
    return nodes


def _changes(source: bytes, body: list[ast.stmt]) -> Iterator[tuple[str, tuple[int, int, int, int], str]]:
    """(kind, (first line, column, last line, column), new text) of statements that are surely reached."""

    def text(node: ast.expr) -> str:
        return f"({(ast.get_source_segment(source.decode(), node) or '')})"

    for statement in body:
        end = statement.end_lineno or statement.lineno, statement.end_col_offset or 0
        place = (statement.lineno, statement.col_offset, *end)
        if isinstance(statement, ast.Assert):
            test = statement.test
            yield "negated", place, f"assert not {text(test)}"
            if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
                left, right = test.left, test.comparators[0]
                if _written(left):
                    yield "another", place, f"assert {_another(left, text(left))} == {text(right)}"
                else:
                    yield "another", place, f"assert {text(left)} == {_another(right, text(right))}"
        elif isinstance(statement, ast.Expr) and isinstance(call := statement.value, ast.Call):
            function = call.func
            if isinstance(function, ast.Attribute) and function.attr in _OPPOSITE:
                word = (function.end_lineno or 0, (function.end_col_offset or 0) - len(function.attr))
                yield (
                    "negated",
                    (*word, function.end_lineno or 0, function.end_col_offset or 0),
                    _OPPOSITE[function.attr],
                )
                if function.attr == "assertEqual" and len(call.args) >= 2:
                    argument = call.args[0] if _written(call.args[0]) else call.args[1]
                    spot = (argument.lineno, argument.col_offset)
                    stop = (argument.end_lineno or 0, argument.end_col_offset or 0)
                    yield "another", (*spot, *stop), _another(argument, text(argument))
        elif isinstance(statement, ast.With) and _expects(statement):
            first = statement.body[0]
            if first.lineno > statement.lineno:
                last = statement.items[-1]
                held = last.optional_vars or last.context_expr
                yield (
                    "unexpected",
                    (statement.lineno, statement.col_offset, held.end_lineno or 0, held.end_col_offset or 0),
                    "if True",
                )
        if any(isinstance(node, ast.Return) for node in ast.walk(statement)):
            return


def _written(node: ast.expr) -> bool:
    """Whether a value stands there as such."""
    return isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict)


def _another(node: ast.expr, text: str) -> str:
    """A value that the written one does not equal; of its type where it is written out, so that no type tells."""
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool):
            return repr(not value)
        if isinstance(value, int | float):
            return repr(value + 1)
        if isinstance(value, str):
            return repr(value + (value[:1] or "a"))
        if isinstance(value, bytes):
            return repr(value + (value[:1] or b"a"))
    if isinstance(node, ast.List):
        return f"[*{text}, 1]"
    if isinstance(node, ast.Tuple):
        return f"(*{text}, 1)"
    if isinstance(node, ast.Set):
        return f"{{*{text}, 'more'}}"
    if isinstance(node, ast.Dict):
        return f"{{**{text}, 'more': 1}}"
    return f"[{text}]"


def _expects(statement: ast.With) -> bool:
    """Whether it is `with pytest.raises(...)` or `with self.assertRaises(...)`."""
    if len(statement.items) != 1:
        return False
    call = statement.items[0].context_expr
    function = call.func if isinstance(call, ast.Call) else None
    return isinstance(function, ast.Attribute) and function.attr in ("raises", "assertRaises", "assertRaisesRegex")
