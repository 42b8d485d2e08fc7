"""Which functions, classes and values the files of a repository define, and which of them each one names."""

import ast
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Definition:
    """Lines [first, last] of a file, from 1. kind: `def`, `class` or `value`. names: what its text refers to and what
    is defined in it, of a class without the texts of its methods. parameters: of a function. body: line of its first
    statement behind the documentation.
    """

    path: str
    name: str
    kind: str
    first: int
    last: int
    names: frozenset[str]
    parameters: tuple[str, ...] = ()
    body: int = 0

    def __contains__(self, line: int) -> bool:
        return self.first <= line <= self.last


class CodeMap:
    """Definitions of the files at `paths`, in their order; a file that is no Python of this version has none."""

    def __init__(self, files: Mapping[str, bytes], paths: Iterable[str]) -> None:
        self.definitions: list[Definition] = []
        for path in paths:
            try:
                tree = ast.parse(files[path])
            except (SyntaxError, ValueError):
                continue
            self.definitions += _definitions(path, tree)

    @cached_property
    def by_name(self) -> dict[str, list[Definition]]:
        named: dict[str, list[Definition]] = {}
        for one in self.definitions:
            named.setdefault(one.name, []).append(one)
        return named

    def at(self, path: str, line: int) -> Definition | None:
        """The innermost function there, or else the value or class."""
        there = [one for one in self.definitions if one.path == path and line in one]
        functions = [one for one in there if one.kind == "def"]
        return min(functions or there, key=lambda one: one.last - one.first, default=None)

    def way(self, names: Iterable[str], target: Definition) -> list[Definition] | None:
        """The chain with least to read from a definition with one of the names to the target; each names the next.

        A special method is reached by its class: its name alone tells nothing.
        """
        told = sorted({name for name in names if not name.startswith("__")})
        starts = [one for name in told for one in self.by_name.get(name, ())]
        before: dict[Definition, Definition | None] = {}
        waiting: list[tuple[float, int, Definition, Definition | None]] = []
        for one in starts:
            heapq.heappush(waiting, (_effort(one), len(waiting), one, None))
        pushed = len(waiting)
        while waiting:
            effort, _, here, previous = heapq.heappop(waiting)
            if here in before:
                continue
            before[here] = previous
            if here == target:
                chain = [here]
                while (earlier := before[chain[0]]) is not None:
                    chain.insert(0, earlier)
                return chain
            for name in sorted(here.names):
                for one in self.by_name.get(name, ()):
                    if one not in before:
                        pushed += 1
                        heapq.heappush(waiting, (effort + _effort(one), pushed, one, here))
        return None


def _effort(one: Definition) -> float:
    """Of finding and reading a definition; of a class its outline alone is read."""
    return 1.5 if one.kind == "class" else 1.0 + (one.last - one.first) / 40


def _definitions(path: str, tree: ast.AST) -> list[Definition]:
    found: list[Definition] = []

    def walk(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                found.append(_definition(path, child))
                walk(child, inside or isinstance(child, _FUNCTIONS))
            elif isinstance(child, ast.Assign | ast.AnnAssign) and not inside:
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                for one in targets:
                    if isinstance(one, ast.Name):
                        found.append(
                            Definition(path, one.id, "value", child.lineno, child.end_lineno or 0, _names(child))
                        )
            else:
                walk(child, inside)

    walk(tree, inside=False)
    return found


def _definition(path: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Definition:
    parameters: tuple[str, ...] = ()
    statements = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if not isinstance(node, ast.ClassDef):
        given = node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        parameters = tuple(one.arg for one in every if one.arg not in ("self", "cls"))
    kind = "class" if isinstance(node, ast.ClassDef) else "def"
    last = node.end_lineno or node.lineno
    body = statements[0].lineno if statements else 0
    return Definition(path, node.name, kind, node.lineno, last, _names(node), parameters, body)


def _names(node: ast.AST) -> frozenset[str]:
    names = set()
    parts = list(ast.iter_child_nodes(node)) if isinstance(node, ast.ClassDef) else [node]
    for part in parts:
        if isinstance(node, ast.ClassDef) and isinstance(part, (*_FUNCTIONS, ast.ClassDef)):
            names.add(part.name)
            continue
        for child in ast.walk(part):
            if isinstance(child, ast.Name):
                names.add(child.id)
            elif isinstance(child, ast.Attribute):
                names.add(child.attr)
            elif isinstance(child, (*_FUNCTIONS, ast.ClassDef)) and child is not node:
                names.add(child.name)
    return frozenset(names)
