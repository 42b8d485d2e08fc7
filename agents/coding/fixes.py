"""Edits of a broken file as an agent writes them: the right one, one that repairs nothing, one that doesn't match."""

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from agents.coding.code_map import Definition
from gym.repositories.project import Project
from gym.repositories.task import Edit, apply_edits

_SWAPS: Mapping[type[ast.cmpop | ast.operator | ast.boolop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.In: ("in", "not in"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """`old`, which stands once in the file, becomes `new`.

    first, last: lines of `old`, from 1. cut, put: the lines that change, without those around them.
    """

    path: str
    old: str
    new: str
    first: int
    last: int
    cut: tuple[str, ...]
    put: tuple[str, ...]

    @property
    def undone(self) -> "Change":
        last = self.first + self.new.count("\n")
        return Change(self.path, self.new, self.old, self.first, last, self.put, self.cut)


def broken_files(project: Project, edits: tuple[Edit, ...]) -> dict[str, bytes]:
    """The project's files with these bugs in them."""
    return apply_edits(project.files, edits)


def right_change(project: Project, bugs: tuple[Edit, ...], bug: Edit, around: int = 0) -> Change:
    """What mends one of the bugs that are there.

    Args:
        around: lines before and behind that are named too; as many more as make the text unique.
    """
    path = bug.path
    ours = _lines(broken_files(project, bugs)[path])
    theirs = _lines(broken_files(project, tuple(one for one in bugs if one != bug))[path])
    shorter = min(len(ours), len(theirs))
    head = next((k for k in range(shorter) if ours[k] != theirs[k]), shorter)
    tail = next((k for k in range(shorter - head) if ours[-1 - k] != theirs[-1 - k]), shorter - head)
    return _change(path, ours, head, len(ours) - tail, theirs[head : len(theirs) - tail], around)


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "surrogateescape").split("\n")


def _change(path: str, lines: list[str], first: int, last: int, new: list[str], around: int = 0) -> Change:
    """Replaces lines [first, last), from 0, named with as many around them as make the text unique."""
    text = "\n".join(lines)
    end = max(last, len(lines) - (lines[-1] == ""))  # behind the last line's end nothing is shown
    low, high = max(0, first - around), min(end, last + around)
    while low == high or text.count("\n".join(lines[low:high])) != 1:
        low, high = max(0, low - 1), min(end, high + 1)
    old = "\n".join(lines[low:high])
    put = "\n".join([*lines[low:first], *new, *lines[last:high]])
    return Change(path, old, put, low + 1, high, tuple(lines[first:last]), tuple(new))


def print_change(content: bytes, where: Definition) -> Change:
    """Shows what a function is given, before its first statement."""
    lines = _lines(content)
    at = where.body - 1
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    shown = ", ".join([f'"{where.name}"', *where.parameters[:3]])
    return _change(where.path, lines, at, at, [f"{indent}print({shown})"])


def wrong_change(
    content: bytes, good: bytes, where: Definition, lines: Collection[int], rng: np.random.Generator
) -> Change | None:
    """A change of an operator or a number in one of a function's `lines` that repairs nothing; None for none.

    Args:
        good: the file without its bug, which the change must not make.
    """
    ours, theirs = _lines(content), set(_lines(good))
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(content)):
        line = getattr(node, "lineno", 0)
        if line in where and line in lines and node.lineno == node.end_lineno:  # type: ignore[attr-defined]
            found += [(line, text) for text in _rewritten(ours[line - 1], node) if text not in theirs]
    if not found:
        return None
    line, text = found[int(rng.integers(len(found)))]
    return _change(where.path, ours, line - 1, line, [text])


def _rewritten(line: str, node: ast.AST) -> list[str]:
    """The line with the node's operator, or its number, changed."""
    coded = line.encode("utf-8", "surrogateescape")

    def spliced(start: int, end: int, new: str) -> str:
        return (coded[:start] + new.encode() + coded[end:]).decode("utf-8", "surrogateescape")

    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [spliced(node.col_offset, node.end_col_offset or 0, str(node.value + 1))]
    sides: tuple[ast.expr, ast.expr] | None = None
    operator: ast.AST | None = None
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        sides, operator = (node.left, node.comparators[0]), node.ops[0]
    elif isinstance(node, ast.BinOp):
        sides, operator = (node.left, node.right), node.op
    elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
        sides, operator = (node.values[0], node.values[1]), node.op
    if sides is None or type(operator) not in _SWAPS:
        return []
    old, new = _SWAPS[type(operator)]  # type: ignore[index]
    start, end = sides[0].end_col_offset or 0, sides[1].col_offset
    between = coded[start:end].decode()
    return [spliced(start, end, between.replace(old, new, 1))] if between.strip() == old else []


def misremembered(change: Change, rng: np.random.Generator) -> Change:
    """The same change with a text that the file doesn't have."""
    line = change.old.split("\n")[0]
    slips = [line.replace("'", '"'), line.replace('"', "'"), line.replace(" = ", "="), line.replace(", ", ",")]
    slips = [slip for slip in slips if slip != line] or [f"{line.rstrip()};"]
    slip = slips[int(rng.integers(len(slips)))]
    old = "\n".join([slip, *change.old.split("\n")[1:]])
    return Change(change.path, old, change.new, change.first, change.last, change.cut, change.put)
