"""Bugs that show without running anything: too easy for a task.

The rule is what any linter reports: after the edits a file has a name that is bound nowhere, a local variable that is
set and never read, or a comparison of something with itself, and had none there before. A body that is left out shows
as well, but what is asked for there is the body.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator

from gym.repositories.parsed import Source
from gym.repositories.task import Edit

_BUILT_IN = {*dir(builtins), "__file__", "__path__", "__class__", "__module__", "__qualname__"}


def obvious(source: Source, edit: Edit) -> bool:
    """Whether a linter would point at the edit."""
    if edit.kind == "blank_body":
        return False
    function = source.function_at(edit.start)
    if function is None:
        return False
    low, high = source.whole_lines(function.outermost)
    good = source.content[low:high].decode()
    bad = (source.content[low : edit.start] + edit.new.encode() + source.content[edit.end : high]).decode()
    return bool(findings(bad, source.names) - findings(good, source.names))


def findings(text: str, known: frozenset[str] | None) -> set[str]:
    """What a linter reports of a function, in whole lines, of a module whose names are `known`."""
    text = f"if 1:\n{text}" if text[:1].isspace() else text
    found = {f"compares {ast.unparse(node)}" for node in ast.walk(ast.parse(text)) if _same_sides(node)}
    for scope in _scopes(symtable.symtable(text, "function", "exec")):
        for symbol in scope.get_symbols():
            name = symbol.get_name()
            if symbol.is_global() and known is not None and name not in known and name not in _BUILT_IN:
                found.add(f"undefined {name} in {scope.get_name()}")
            unread = symbol.is_local() and symbol.is_assigned() and not symbol.is_referenced()
            if isinstance(scope, symtable.Function) and unread and not (symbol.is_parameter() or symbol.is_imported()):
                found.add(f"unread {name} in {scope.get_name()}")
    return found


def _same_sides(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or any(isinstance(one, ast.Call) for one in ast.walk(node)):
        return False
    return ast.dump(node.left) == ast.dump(node.comparators[0])


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    for child in table.get_children():
        yield child
        yield from _scopes(child)
