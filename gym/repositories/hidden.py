"""Which tests a solver sees: where tests are defined, and a tree without some of them."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gym.repositories.parsed import FunctionNode, first_line

SHOW_ONE = 0.5  # share of tasks that keep one failing test in the tree
HIDE = 1 / 3  # of the tests that pass


@dataclass(frozen=True)
class Definition:
    """A test function: the file and the first and last line of its text, decorators included."""

    path: str
    first: int
    last: int


def definitions(files: Mapping[str, bytes], tests: Iterable[str]) -> dict[str, Definition]:
    """Where each test is defined; absent if its function can't be taken out of the tree.

    That is so when the file defines it in another way than by `def`, or mentions its name once more.
    """
    found: dict[str, Definition] = {}
    trees: dict[str, _Tests] = {}
    for test in tests:
        path, _, names = test.partition("[")[0].partition("::")
        if path.endswith(".py") and path in files:
            if path not in trees:
                trees[path] = _Tests(ast.parse(files[path]))
            node = trees[path].find(names.split("::"))
            if node is not None:
                found[test] = Definition(path, first_line(node), node.end_lineno or node.lineno)
    return found


class _Tests:
    """The classes and functions of a test file."""

    def __init__(self, tree: ast.Module) -> None:
        self.body = tree.body
        names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
        attributes = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        self.mentioned = {*names, *attributes}

    def find(self, names: Sequence[str]) -> FunctionNode | None:
        body = self.body
        for name in names[:-1]:
            classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name == name]
            if not classes:
                return None
            body = self._with_bases(classes[-1])
        functions = [node for node in body if isinstance(node, FunctionNode) and node.name == names[-1]]
        alone = len(functions) == 1 and names[-1] not in self.mentioned
        return functions[0] if alone else None

    def _with_bases(self, node: ast.ClassDef) -> list[ast.stmt]:
        """Its own body, and below it those of the bases above it in this file that it does not override."""
        body = list(node.body)
        for base in node.bases:
            for other in self.body:
                named = isinstance(other, ast.ClassDef) and isinstance(base, ast.Name) and other.name == base.id
                if named and isinstance(other, ast.ClassDef) and other.lineno < node.lineno:
                    own = {one.name for one in body if isinstance(one, FunctionNode)}
                    inherited = self._with_bases(other)
                    body += [one for one in inherited if not isinstance(one, FunctionNode) or one.name not in own]
        return body


def choose_shown(
    files: Mapping[str, bytes], fail_to_pass: Sequence[str], pass_to_pass: Sequence[str], rng: np.random.Generator
) -> tuple[str, ...]:
    """The tests that stay in the solver's tree, whole functions at a time, in the order given.

    No failing test, or in half of the tasks one; of the functions that only pass two thirds. What can't be taken out
    stays.
    """
    places = definitions(files, [*fail_to_pass, *pass_to_pass])
    failing = {places[test] for test in fail_to_pass if test in places}
    hidden = set(failing)
    if failing and rng.random() < SHOW_ONE:
        ordered = sorted(failing, key=lambda one: (one.path, one.first))
        hidden.remove(ordered[int(rng.integers(len(ordered)))])
    passing = {places[test] for test in pass_to_pass if test in places} - failing
    for place in sorted(passing, key=lambda one: (one.path, one.first)):
        if rng.random() < HIDE:
            hidden.add(place)
    return tuple(test for test in [*fail_to_pass, *pass_to_pass] if places.get(test) not in hidden)


def without_tests(files: Mapping[str, bytes], hidden: Iterable[str], shown: Iterable[str]) -> dict[str, bytes]:
    """The files without the test functions of `hidden`; one that also gives a test of `shown` stays."""
    hidden, shown = list(hidden), list(shown)
    places = definitions(files, [*hidden, *shown])
    kept = {places[test] for test in shown if test in places}
    made = dict(files)
    gone: dict[str, list[Definition]] = {}
    for place in {places[test] for test in hidden if test in places} - kept:
        gone.setdefault(place.path, []).append(place)
    for path, parts in gone.items():
        made[path] = _without(files[path], parts)
    return made


def _without(content: bytes, parts: Iterable[Definition]) -> bytes:
    lines = content.splitlines(keepends=True)
    parts = sorted(parts, key=lambda one: -one.first)
    left = _emptied(ast.parse(content).body, {part.first for part in parts})
    for part in parts:
        indent = lines[part.first - 1][: len(lines[part.first - 1]) - len(lines[part.first - 1].lstrip())]
        lines[part.first - 1 : part.last] = [indent + b"pass\n"] if part.first in left else []
    return b"".join(lines)


def _emptied(body: Sequence[ast.stmt], gone: set[int]) -> set[int]:
    """First lines of functions whose class would have nothing left: one of each, where `pass` goes."""
    found = set()
    for node in body:
        if isinstance(node, ast.ClassDef):
            starts = [first_line(one) for one in node.body]
            if gone.issuperset(starts):
                found.add(starts[0])
            found |= _emptied(node.body, gone)
    return found
