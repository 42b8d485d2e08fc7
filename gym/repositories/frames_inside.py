"""Runs inside a sandbox: where in a test's file a live frame stands."""

import ast
import textwrap
from pathlib import Path
from types import FrameType

from statements_inside import Names, free, parsed, stores

QUOTED = 30  # lines of a test that may be quoted


def function_of(frame: FrameType) -> ast.FunctionDef | None:
    """The function of a frame in its file."""
    found = None
    for node in ast.walk(parsed(frame.f_globals)):
        if isinstance(node, ast.FunctionDef) and node.name == frame.f_code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == frame.f_code.co_firstlineno:
                found = node
    return found


def located(frame: FrameType, line: int) -> tuple[list[ast.stmt], ast.stmt, list[ast.stmt], list[ast.With]] | None:
    """(statements before, the innermost statement at the line, those after it, `with` statements around it)."""
    function = function_of(frame)
    if function is None:
        return None
    before: list[ast.stmt] = []
    guards: list[ast.With] = []
    body = function.body
    while True:
        index = next((i for i, part in enumerate(body) if part.lineno <= line <= (part.end_lineno or 0)), None)
        if index is None:
            return None
        before += body[:index]
        statement = body[index]
        inner = None
        for name in ("body", "orelse", "finalbody"):
            block = getattr(statement, name, None)
            if isinstance(block, list) and block and block[0].lineno <= line <= (block[-1].end_lineno or 0):
                inner = block
        if inner is None or isinstance(statement, ast.FunctionDef | ast.ClassDef):
            return before, statement, body[index + 1 :], guards
        if isinstance(statement, ast.With):
            guards.append(statement)
        body = inner


def quoted(frames: list[FrameType]) -> str:
    """The whole test, below the helpers that it failed in where they fit; empty where it is too long to be quoted."""
    texts = []
    for frame in frames:
        function = function_of(frame)
        if function is None:
            return ""
        lines = Path(frame.f_code.co_filename).read_text(encoding="utf-8").splitlines()
        first = min([function.lineno, *(part.lineno for part in function.decorator_list)])
        texts.append(textwrap.dedent("\n".join(lines[first - 1 : function.end_lineno])))
    whole = "\n\n\n".join(reversed(list(dict.fromkeys(texts))))
    fits = [text for text in (whole, texts[0]) if text.count("\n") < QUOTED and len(text) < 2500]
    return fits[0] if fits else ""


def statement_text(frames: list[tuple[FrameType, int]]) -> str:
    found = located(*frames[0])
    return "" if found is None else ast.unparse(found[1]).splitlines()[0]


def call_of(outer: FrameType, line: int, inner: FrameType) -> dict[str, ast.expr] | None:
    """The arguments, by parameter, of the call by which one frame of the tests entered the next."""
    found = located(outer, line)
    function = function_of(inner)
    if found is None or function is None:
        return None
    names = [arg.arg for arg in [*function.args.posonlyargs, *function.args.args]]
    for node in ast.walk(found[1]):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] == function.name:
            own = names[1:] if isinstance(node.func, ast.Attribute) and names[:1] == ["self"] else names
            if any(isinstance(arg, ast.Starred) for arg in node.args) or len(node.args) > len(own):
                return None
            given = dict(zip(own, node.args)) | {word.arg: word.value for word in node.keywords if word.arg}
            kept = [name for name in given if not any(stores(part, name) for part in function.body)]
            return {name: given[name] for name in kept}
    return None


def substituted(node: ast.expr, call: dict[str, ast.expr]) -> ast.expr | None:
    """A helper's expression in the words of its caller; None where it holds more than parameters."""
    if not free(node) or not free(node) <= set(call) | set(dir(__builtins__)):
        return node if isinstance(node, ast.Constant) else None
    return Names(call).visit(ast.parse(ast.unparse(node), mode="eval").body)  # type: ignore[no-any-return]
