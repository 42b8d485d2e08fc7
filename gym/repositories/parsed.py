"""A source file with what edits of it need: byte spans of nodes, its functions, the statement that a place lies in."""

import ast
import io
import symtable
import tokenize
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Placed = ast.expr | ast.stmt | ast.keyword | ast.excepthandler
STUBS = {"overload", "abstractmethod", "abstractproperty"}


@dataclass(frozen=True)
class Function:
    """name: qualified, as `Document.append` or `outer.inner`. body: without the docstring. outermost: the function
    that it lies in or itself. statement: of the module, that all of it lies in. stub: has no body of its own.
    """

    name: str
    node: FunctionNode
    outermost: FunctionNode
    statement: ast.stmt

    @property
    def body(self) -> list[ast.stmt]:
        first = self.node.body[0]
        doc = (
            isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
        )
        return self.node.body[1:] if doc else self.node.body

    @property
    def stub(self) -> bool:
        names = {ast.unparse(one).rsplit(".", 1)[-1] for one in self.node.decorator_list}
        return bool(names & STUBS) or all(_empty(statement) for statement in self.body)


def first_line(node: Placed) -> int:
    """From 1; decorators belong to what they decorate."""
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _empty(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    raised = isinstance(statement, ast.Raise) and statement.exc is not None
    return isinstance(statement, ast.Pass) or (raised and "NotImplementedError" in ast.unparse(statement))


def _never_imported(node: ast.If) -> bool:
    return "__name__" in ast.unparse(node.test) or ast.unparse(node.test).endswith("TYPE_CHECKING")


class Source:
    """A file of Python.

    Raises:
        SyntaxError, ValueError: it is no Python of this version, or not UTF-8 without a mark at its beginning.
    """

    def __init__(self, path: str, content: bytes) -> None:
        if content.startswith(b"\xef\xbb\xbf") or tokenize.detect_encoding(io.BytesIO(content).readline)[0] != "utf-8":
            raise ValueError(f"{path}: not plain UTF-8")
        content.decode()
        self.path, self.content = path, content
        self.tree = ast.parse(content)
        self.lines = content.splitlines(keepends=True)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line))

    def start(self, node: Placed) -> int:
        return self.offsets[first_line(node) - 1] + node.col_offset

    def end(self, node: Placed) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.offsets[node.end_lineno - 1] + node.end_col_offset

    def whole_lines(self, node: ast.stmt) -> tuple[int, int]:
        """Span of the lines of a statement, decorators included."""
        return self.offsets[first_line(node) - 1], self.offsets[node.end_lineno or node.lineno]

    def text(self, node: Placed) -> str:
        return self.content[self.start(node) : self.end(node)].decode()

    def outer(self, node: ast.expr, low: int, high: int) -> tuple[int, int]:
        """Span of a node with the brackets around it, as far as they lie in [low, high)."""
        start, end = self.start(node), self.end(node)
        while True:
            before, after = self.content[low:start].rstrip(), self.content[end:high]
            if not before.endswith(b"(") or not after.lstrip().startswith(b")"):
                return start, end
            start, end = low + len(before) - 1, end + len(after) - len(after.lstrip()) + 1

    @cached_property
    def names(self) -> frozenset[str] | None:
        """Names of the module; None when a star imports others."""
        nodes = list(ast.walk(self.tree))
        if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in nodes):
            return None
        table = symtable.symtable(self.content.decode(), self.path, "exec")
        declared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        return frozenset(
            {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()} | declared
        )

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """All that an import of the file defines, the nested ones too, in the order of the text."""
        return tuple(found for statement in self.tree.body for found in _functions(statement, "", None, statement))

    @cached_property
    def _starts(self) -> list[int]:
        return [self.start(one.node) for one in self.functions]

    def function_at(self, offset: int) -> Function | None:
        """The innermost function that holds a byte."""
        for place in reversed(range(bisect_right(self._starts, offset))):
            if offset < self.end(self.functions[place].node):
                return self.functions[place]
        return None

    @cached_property
    def _simple(self) -> dict[int, range]:
        """Lines of the statement without a block that a line belongs to."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt) and not hasattr(node, "body") and not isinstance(node, ast.Match):
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                found.update(dict.fromkeys(lines, lines))
        return found

    def lines_of(self, start: int, end: int) -> range:
        """Lines that run when a changed span runs: its own, and all of the statement that it lies in, from 1."""
        first = bisect_right(self.offsets, start)
        last = bisect_right(self.offsets, max(start, end - 1))
        whole = self._simple.get(first, range(0))
        return whole if last in whole else range(first, last + 1)


def _functions(node: ast.stmt, prefix: str, outermost: FunctionNode | None, statement: ast.stmt) -> Iterator[Function]:
    if isinstance(node, ast.If) and _never_imported(node):
        return
    if isinstance(node, FunctionNode):
        outermost = outermost or node
        yield Function(prefix + node.name, node, outermost, statement)
    if isinstance(node, FunctionNode | ast.ClassDef):
        prefix += f"{node.name}."
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for child in getattr(node, field, []):
            for below in [child] if isinstance(child, ast.stmt) else child.body:
                yield from _functions(below, prefix, outermost, statement)
