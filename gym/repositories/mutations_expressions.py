"""Edits of expressions: operators, arguments, constants, conditions."""

import ast
import re
import zlib
from collections.abc import Iterator, Sequence

from gym.repositories.parsed import FunctionNode, Source

Change = tuple[str, int, int, str]  # kind, start, end, new text
EXPRESSIONS = (
    "comparison", "reversed_comparison", "boolean", "dropped_condition", "inverted_condition", "operator",
    "swapped_values", "swapped_arguments", "dropped_argument", "off_by_one", "constant",
)  # fmt: skip
EDGES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
REVERSED = {
    "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
OPERATORS = {
    "+": "-", "-": "+", "*": "+", "/": "//", "//": "/", "%": "//", "&": "|", "|": "&", "<<": ">>", ">>": "<<",
    "**": "*", "^": "|",
}  # fmt: skip
SMALL, LARGE = 2, 10_000  # an integer up to SMALL is an off-by-one; beyond LARGE it is a magic number, not a count
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)


def expression_changes(source: Source, node: ast.expr) -> Iterator[Change]:
    """Every change of an expression and of those in it; f-strings have no true positions before Python 3.12."""
    if isinstance(node, ast.JoinedStr):
        return
    match node:
        case ast.Compare():
            yield from _comparisons(source, node)
        case ast.BoolOp():
            yield from _conditions(source, node)
        case ast.UnaryOp(op=ast.Not()):
            text = source.text(node)
            yield "inverted_condition", source.start(node), source.end(node), text.removeprefix("not").lstrip()
        case ast.BinOp() if not _formats(node):
            yield from _operator(source, source.end(node.left), source.start(node.right))
        case ast.IfExp():
            yield _swapped(source, "swapped_values", node.body, node.orelse)
        case ast.Call():
            yield from _arguments(source, node)
        case ast.Slice():
            for bound in (node.lower, node.upper):
                if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
                    yield _off_by_one(source, bound)
        case ast.Constant():
            yield from _constant(source, node)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from expression_changes(source, child)
        elif isinstance(child, ast.keyword):
            yield from expression_changes(source, child.value)
        elif isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from expression_changes(source, part)


def _formats(node: ast.BinOp) -> bool:
    text = isinstance(node.left, ast.JoinedStr) or (
        isinstance(node.left, ast.Constant) and isinstance(node.left.value, str | bytes)
    )
    return isinstance(node.op, ast.Mod) and text


def _between(source: Source, start: int, end: int, words: Sequence[str]) -> tuple[int, int, str] | None:
    """Span and name of the operator that stands there; None beside a comment."""
    text = source.content[start:end].decode()
    alternatives = "|".join(re.escape(word).replace("\\ ", r"\s+") for word in sorted(words, key=len, reverse=True))
    found = re.search(alternatives, text)
    if found is None or "#" in text:
        return None
    at = start + len(text[: found.start()].encode())
    return at, at + len(found.group()), " ".join(found.group().split())


def _comparisons(source: Source, node: ast.Compare) -> Iterator[Change]:
    sides = [node.left, *node.comparators]
    for left, right in zip(sides, sides[1:]):
        if found := _between(source, source.end(left), source.start(right), tuple(REVERSED)):
            start, end, operator = found
            if operator in EDGES:
                yield "comparison", start, end, EDGES[operator]
            yield "reversed_comparison", start, end, REVERSED[operator]


def _conditions(source: Source, node: ast.BoolOp) -> Iterator[Change]:
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    low, high = source.start(node), source.end(node)
    spans = [source.outer(value, low, high) for value in node.values]
    joints = [_between(source, a[1], b[0], (old,)) for a, b in zip(spans, spans[1:])]
    if all(joints):
        made, at = b"", spans[0][1]
        for joint in joints:
            assert joint is not None
            made, at = made + source.content[at : joint[0]] + new.encode(), joint[1]
        yield "boolean", spans[0][1], at, made.decode()
    yield "dropped_condition", spans[-2][1], high, ""
    yield "dropped_condition", low, spans[1][0], ""


def _operator(source: Source, start: int, end: int) -> Iterator[Change]:
    if found := _between(source, start, end, tuple(OPERATORS)):
        yield "operator", found[0], found[1], OPERATORS[found[2]]


def augmented(source: Source, node: ast.AugAssign) -> Iterator[Change]:
    """`+=` to `-=`."""
    yield from _operator(source, source.end(node.target), source.start(node.value))


def _swapped(source: Source, kind: str, first: ast.expr, second: ast.expr) -> Change:
    middle = source.content[source.end(first) : source.start(second)].decode()
    new = f"{source.text(second)}{middle}{source.text(first)}"
    return kind, source.start(first), source.end(second), new


def swapped_pair(source: Source, value: ast.expr | None) -> Iterator[Change]:
    """The two values of a tuple."""
    if (
        isinstance(value, ast.Tuple)
        and len(value.elts) == 2
        and not any(isinstance(e, ast.Starred) for e in value.elts)
    ):
        yield _swapped(source, "swapped_values", *value.elts)


def _arguments(source: Source, node: ast.Call) -> Iterator[Change]:
    plain = not any(isinstance(one, ast.Starred | ast.GeneratorExp) for one in node.args)
    if plain and len(node.args) >= 2 and ast.dump(node.args[0]) != ast.dump(node.args[1]):
        yield _swapped(source, "swapped_arguments", node.args[0], node.args[1])
    if isinstance(node.func, ast.Name) and node.func.id == "range" and plain and node.args and not node.keywords:
        bound = node.args[min(1, len(node.args) - 1)]
        if not isinstance(bound, ast.Constant | ast.UnaryOp):
            yield _off_by_one(source, bound)
    low = source.end(node.func)
    ends = sorted([*(source.outer(one, low, source.end(node) - 1)[1] for one in node.args),
                   *(source.end(one) for one in node.keywords)])  # fmt: skip
    for keyword in node.keywords:
        before = [end for end in ends if end <= source.start(keyword)]
        if keyword.arg is not None and before:
            yield "dropped_argument", before[-1], source.end(keyword), ""


def _sign(source: Source, node: ast.expr) -> int:
    return 1 if zlib.crc32(f"{source.path} {source.start(node)}".encode()) & 1 else -1


def _off_by_one(source: Source, node: ast.expr) -> Change:
    text = source.text(node)
    text = text if isinstance(node, ATOMS) else f"({text})"
    return "off_by_one", source.start(node), source.end(node), f"{text} {'+' if _sign(source, node) > 0 else '-'} 1"


def _constant(source: Source, node: ast.Constant) -> Iterator[Change]:
    value, start, end = node.value, source.start(node), source.end(node)
    if isinstance(value, bool):
        yield "constant", start, end, repr(not value)
    elif isinstance(value, int) and value < LARGE and source.text(node) == repr(value):
        kind = "off_by_one" if value <= SMALL else "constant"
        yield kind, start, end, repr(value + (_sign(source, node) if value else 1))
    elif isinstance(value, str) and 0 < len(value) <= 3 and not value.isalnum():
        text = source.text(node)
        if text in (f"'{value}'", f'"{value}"'):
            yield "constant", start, end, text[:-2] + text[-1]


def changed_defaults(source: Source, node: FunctionNode) -> Iterator[Change]:
    """Defaults that are integers or truth values."""
    for default in [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]:
        if isinstance(default, ast.Constant) and isinstance(default.value, bool | int):
            value = default.value
            new = repr(not value) if isinstance(value, bool) else repr(value + 1)
            yield "changed_default", source.start(default), source.end(default), new
