"""Edits of statements: what is left out, or done in another order."""

import ast
from collections.abc import Iterator

from gym.repositories.mutations_expressions import Change, augmented, swapped_pair
from gym.repositories.parsed import Source

STATEMENTS = (
    "removed_assignment", "removed_branch", "removed_else", "removed_call", "removed_conversion", "removed_return",
    "removed_raise", "removed_handler", "removed_jump",
)  # fmt: skip
# What a hasty programmer catches instead: a part of it, or its neighbour.
CAUGHT = {
    "Exception": "ValueError", "BaseException": "Exception", "LookupError": "KeyError", "ValueError": "UnicodeError",
    "OSError": "FileNotFoundError", "IOError": "FileNotFoundError", "ArithmeticError": "ZeroDivisionError",
    "KeyError": "IndexError", "IndexError": "KeyError", "AttributeError": "KeyError", "TypeError": "ValueError",
    "StopIteration": "IndexError", "ImportError": "AttributeError", "UnicodeError": "UnicodeEncodeError",
    "UnicodeDecodeError": "UnicodeEncodeError", "OverflowError": "ValueError", "NotImplementedError": "ValueError",
}  # fmt: skip


def statement_changes(source: Source, node: ast.stmt, block: list[ast.stmt], *, last: bool) -> Iterator[Change]:
    """Changes of one statement of a block, without those of its expressions; `last`: of the function's own body."""
    match node:
        case ast.Assign():
            yield _removed(source, "removed_assignment", node, block)
            yield from swapped_pair(source, node.value)
        case ast.AnnAssign(value=ast.expr()):
            yield _removed(source, "removed_assignment", node, block)
        case ast.AugAssign():
            yield _removed(source, "removed_assignment", node, block)
            yield from augmented(source, node)
        case ast.Expr(value=ast.Call()):
            yield _removed(source, "removed_call", node, block)
        case ast.Expr(value=ast.Yield(value=value)):
            yield from swapped_pair(source, value)
        case ast.Return():
            yield from swapped_pair(source, node.value)
            match node.value:
                case ast.Call(func=ast.Name(), args=[only], keywords=[]) as call if not isinstance(only, ast.Starred):
                    yield "removed_conversion", source.start(call), source.end(call), source.text(only)
            if not last:
                yield _removed(source, "removed_return", node, block)
        case ast.Raise():
            yield _removed(source, "removed_raise", node, block)
        case ast.Break() | ast.Continue():
            yield _removed(source, "removed_jump", node, block)
        case ast.If():
            yield from _branch(source, node, block)
        case ast.Try():
            yield from _handlers(source, node)
    yield from _else(source, node)


def _removed(source: Source, kind: str, node: ast.stmt, block: list[ast.stmt]) -> Change:
    """Whole lines where the statement has them to itself and the block has more; else `pass` in its place."""
    start, end = source.start(node), source.end(node)
    first, after = source.offsets[node.lineno - 1], source.offsets[node.end_lineno or 0]
    rest = source.content[end:after].strip()
    if len(block) > 1 and not source.content[first:start].strip() and (not rest or rest.startswith(b"#")):
        return kind, first, after, ""
    return kind, start, end, "pass"


def _branch(source: Source, node: ast.If, block: list[ast.stmt]) -> Iterator[Change]:
    if not source.content[source.start(node) :].startswith(b"elif"):
        if not node.orelse:
            yield _removed(source, "removed_branch", node, block)
        return
    low, high = source.offsets[node.lineno - 1], source.offsets[node.end_lineno or 0]
    if node.orelse:
        line = _else_line(source, node.body, node.orelse)
        if line is None:
            return
        high = source.offsets[line - 1]
    yield "removed_branch", low, high, ""


def _else_line(source: Source, body: list[ast.stmt], orelse: list[ast.stmt]) -> int | None:
    """Where `else:` or the next `elif` stands on a line of its own."""
    for line in range((body[-1].end_lineno or 0) + 1, orelse[0].lineno + 1):
        if source.lines[line - 1].lstrip().startswith((b"else", b"elif")):
            return line
    return None


def _else(source: Source, node: ast.stmt) -> Iterator[Change]:
    orelse: list[ast.stmt] = getattr(node, "orelse", [])
    if not orelse or source.content[source.start(orelse[0]) :].startswith(b"elif"):
        return
    before = node.handlers[-1].body if isinstance(node, ast.Try) else getattr(node, "body", [])
    line = _else_line(source, before, orelse)
    if line is not None:
        yield "removed_else", source.offsets[line - 1], source.offsets[orelse[-1].end_lineno or 0], ""


def _handlers(source: Source, node: ast.Try) -> Iterator[Change]:
    for handler in node.handlers:
        if len(node.handlers) > 1:
            low, high = source.offsets[handler.lineno - 1], source.offsets[handler.end_lineno or 0]
            yield "removed_handler", low, high, ""
        if isinstance(handler.type, ast.Tuple) and len(handler.type.elts) > 1:
            for kept in handler.type.elts:
                yield "removed_handler", source.start(handler.type), source.end(handler.type), source.text(kept)
        elif isinstance(handler.type, ast.Name) and handler.type.id in CAUGHT:
            yield "removed_handler", source.start(handler.type), source.end(handler.type), CAUGHT[handler.type.id]
