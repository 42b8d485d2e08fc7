"""What a program calls, and what the documentation says about it."""

import ast
import re
from collections.abc import Mapping
from functools import lru_cache

from gym.repositories.project import Project
from gym.repositories.snippets import ProvenCall


def imported(one: ProvenCall, project: Project) -> dict[str, str]:
    """What the program has of the project: its own names by those that the program uses."""
    found = {}
    for statement in ast.parse("\n".join(one.imports)).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                module = statement.module or "" if isinstance(statement, ast.ImportFrom) else alias.name
                if module.split(".")[0] in project.packages:
                    name = alias.name.split(".")[0] if alias.asname is None else alias.name
                    found[(alias.asname or alias.name).split(".")[0]] = name
    return found


def called(one: ProvenCall, project: Project) -> str:
    """What of the project the reported program calls, as a user would name it: `take`, `Box.turned`."""
    known = imported(one, project)
    for part in (one.snippet.expression, *reversed(one.setup)):
        for node in ast.walk(ast.parse(part)):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id=owner)), attr=name)) if owner in known:
                    return f"{known[owner]}.{name}" if known[owner][:1].isupper() else known[owner]
                case ast.Call(func=ast.Name() | ast.Attribute() as func) if _root(func) in known:
                    return _named(func, known)
                case ast.Attribute() if _root(node) in known:
                    return _named(node, known)
    return min(known.values()) if known else project.name


def _named(node: ast.expr, known: Mapping[str, str]) -> str:
    root, dot, rest = ast.unparse(node).partition(".")
    return known[root] + dot + rest


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def sentence_about(project: Project, name: str) -> str:
    """The first sentence of the documentation of what is called; empty where its name is not one function's alone."""
    found = [text for one, text in _documentation(project) if one == name.rsplit(".", 1)[-1]]
    if len(found) != 1:
        return ""
    first = re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(found[0].split("\n\n")[0].split()))[0]
    return first if 15 < len(first) < 200 and ">>>" not in first else ""


@lru_cache(maxsize=8)
def _documentation_of(contents: tuple[bytes, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for content in contents:
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                found.append((node.name, ast.get_docstring(node) or ""))
    return tuple(found)


def _documentation(project: Project) -> tuple[tuple[str, str], ...]:
    return _documentation_of(tuple(project.files[path] for path in project.code))
