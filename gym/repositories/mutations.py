"""Bugs as people make them: an edit of one place in a function, as small as the patch that mends it.

Only the text of the place changes, so the file keeps its formatting. Docstrings, annotations, decorators, stubs, nested
f-strings and what no import runs are left alone.
"""

import ast
import zlib
from collections.abc import Iterator
from types import CodeType

from gym.repositories.mutations_expressions import EXPRESSIONS, Change, changed_defaults, expression_changes
from gym.repositories.mutations_statements import STATEMENTS, statement_changes
from gym.repositories.parsed import Function, Source
from gym.repositories.task import Edit

KINDS = ("blank_body", "wrong_variable", "changed_default", *EXPRESSIONS, *STATEMENTS)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OWN_NAMES = (*_SCOPES, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr)


def mutations(source: Source) -> list[Edit]:
    """Every edit of every function in the order of the text; each compiles, and none leaves the program as it was."""
    made: dict[tuple[int, int, str], Edit] = {}
    for function in source.functions:
        if function.stub:
            continue
        top = source.start(function.node)
        good = compiled(source, function, top, top, "")
        for kind, start, end, new in _changes(source, function):
            if (start, end, new) not in made and compiled(source, function, start, end, new) not in (None, good):
                line = source.content.count(b"\n", 0, start) + 1
                made[start, end, new] = Edit(source.path, start, end, new, kind, function.name, line)
    return sorted(made.values(), key=lambda edit: (edit.start, edit.end, edit.kind, edit.new))


def compiled(source: Source, function: Function, start: int, end: int, new: str) -> CodeType | None:
    """The outermost function with bytes [start, end) replaced; None where that is no program."""
    low, high = source.whole_lines(function.outermost)
    content = source.content[low:start] + new.encode() + source.content[end:high]
    head = b"if 1:\n" if content[:1].isspace() else b""
    try:
        return compile(head + content, source.path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def _changes(source: Source, function: Function) -> Iterator[Change]:
    body = function.body
    if len(body) >= 2 or (body[-1].end_lineno or 0) - body[0].lineno >= 2:
        yield "blank_body", source.start(body[0]), source.end(body[-1]), "raise NotImplementedError"
    yield from changed_defaults(source, function.node)
    yield from _wrong_variables(source, function)
    yield from _block(source, body, function)


def _block(source: Source, block: list[ast.stmt], function: Function) -> Iterator[Change]:
    for statement in block:
        if isinstance(statement, _SCOPES):
            continue
        yield from statement_changes(source, statement, block, last=statement is function.body[-1])
        for below in _blocks(statement):
            yield from _block(source, below, function)
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.expr) and not (
                isinstance(statement, ast.AnnAssign) and child is statement.annotation
            ):
                yield from expression_changes(source, child)
            elif isinstance(child, ast.withitem):
                yield from expression_changes(source, child.context_expr)
        test = getattr(statement, "test", None)
        if isinstance(test, ast.expr) and not isinstance(test, ast.Compare | ast.UnaryOp):
            atom = isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript)
            text = source.text(test)
            yield "inverted_condition", source.start(test), source.end(test), f"not {text}" if atom else f"not ({text})"


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        if block := getattr(statement, field, []):
            yield block
    for field in ("handlers", "cases"):
        for one in getattr(statement, field, []):
            yield one.body


def _wrong_variables(source: Source, function: Function) -> Iterator[Change]:
    """A variable that is read becomes another one that has a value there."""
    arguments = function.node.args
    known = {one.arg: 0 for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    names = [name for statement in function.body for name in _names(statement)]
    for name in names:
        if isinstance(name.ctx, ast.Store):
            known[name.id] = min(known.get(name.id, name.lineno), name.lineno)
    bound = {name for name in known if name not in ("self", "cls")}
    for name in names:
        others = sorted(other for other in bound if other != name.id and known[other] < name.lineno)
        if isinstance(name.ctx, ast.Load) and name.id in bound and others:
            chosen = others[zlib.crc32(f"{function.name} {name.id} {source.start(name)}".encode()) % len(others)]
            yield "wrong_variable", source.start(name), source.end(name), chosen


def _names(node: ast.AST) -> Iterator[ast.Name]:
    if isinstance(node, ast.Name):
        yield node
    if isinstance(node, _OWN_NAMES):
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.AnnAssign) and child is node.annotation):
            yield from _names(child)
