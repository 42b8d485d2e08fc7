"""Runs inside a sandbox: what statements of a test read, set and change, and values written down again."""

import ast
import builtins
import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LITERAL = 160  # characters of a value that may stand in a program
MODULES = (
    "datetime",
    "decimal",
    "fractions",
    "collections",
    "uuid",
    "pathlib",
    "operator",
)  # whose values are literals

_parsed: dict[str, ast.Module] = {}


def parsed(module: dict[str, Any]) -> ast.Module:
    """The file that a module was read from."""
    path = module.get("__file__") or ""
    if path not in _parsed:
        _parsed[path] = (
            ast.parse(Path(path).read_text(encoding="utf-8")) if path.endswith(".py") else ast.Module([], [])
        )
    return _parsed[path]


def free(node: ast.AST) -> set[str]:
    """Names that a node reads and does not bind."""
    bound, used = set(), set()
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                bound |= {(alias.asname or alias.name).split(".")[0] for alias in names}
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        bound.discard(node.target.id)
    return used - bound


def stores(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name == name
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name).split(".")[0] == name for alias in statement.names)
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store) for part in own(statement)
    )


def own(statement: ast.stmt) -> Iterable[ast.AST]:
    """Nodes of a statement without those of comprehensions, whose names are their own."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def touches(statement: ast.stmt, name: str) -> bool:
    """Whether it may change the named object in place: x.append(y), x[y] = z, f(x)."""
    for part in ast.walk(statement):
        match part:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root)))) if root == name:
                return True
            case ast.Expr(value=ast.Call(args=args, func=func)) if "assert" not in ast.unparse(func).lower():
                if any(isinstance(arg, ast.Name) and arg.id == name for arg in args):
                    return True
            case ast.Subscript(value=ast.Name(id=root), ctx=ast.Store() | ast.Del()) if root == name:
                return True
            case ast.Attribute(value=ast.Name(id=root), ctx=ast.Store() | ast.Del()) if root == name:
                return True
    return False


def history(before: list[ast.stmt], name: str) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """(statements that store the name, statements that may change its object) since it was last set afresh."""
    first = 0
    for number, statement in enumerate(before):
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name and name not in free(value):
                first = number
    since = before[first:]
    stored = [statement for statement in since if stores(statement, name)]
    return stored, [statement for statement in since if touches(statement, name) and not judges(statement)]


def judges(statement: ast.stmt) -> bool:
    """Whether a test judges here: such a statement is never set-up."""
    return any(
        isinstance(part, ast.Assert)
        or (isinstance(part, ast.Call) and re.search(r"assert|raises|warns", ast.unparse(part.func), re.IGNORECASE))
        for part in ast.walk(statement)
    )


class Names(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


class Plain(ast.NodeTransformer):
    """`(lambda x: f(x))(1)` and `f(*[1])` become `f(1)`, and `f(**{"k": 1})` becomes `f(k=1)`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        words = []
        for word in node.keywords:
            match word:
                case ast.keyword(arg=None, value=ast.Dict(keys=keys, values=values)) if all(
                    isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.isidentifier()
                    for key in keys
                ):
                    words += [ast.keyword(key.value, value) for key, value in zip(keys, values)]  # type: ignore[union-attr]
                case _:
                    words.append(word)
        node.keywords = words
        spread = [arg.value.elts if _starred(arg) else [arg] for arg in node.args]  # type: ignore[attr-defined]
        node.args = [arg for held in spread for arg in held]
        match node:
            case ast.Call(
                func=ast.Lambda(args=ast.arguments(args=names, defaults=[]) as formal, body=body), keywords=[]
            ):
                plain = not (formal.posonlyargs or formal.vararg or formal.kwonlyargs or formal.kwarg)
                if (
                    plain
                    and len(names) == len(node.args)
                    and not any(isinstance(arg, ast.Starred) for arg in node.args)
                ):
                    return Names(dict(zip([one.arg for one in names], node.args))).visit(body)  # type: ignore[no-any-return]
        return node


def _starred(node: ast.expr) -> bool:
    return isinstance(node, ast.Starred) and isinstance(node.value, ast.List | ast.Tuple)


class Attributes(ast.NodeTransformer):
    """`self.x` becomes `x` where the test case holds a value by that name."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if self.owner is not None:
                if not callable(getattr(self.owner, name, len)) or name in vars(self.owner):
                    return ast.copy_location(ast.Name(name, node.ctx), node)
        return node


def written(value: Any) -> tuple[str, dict[str, str]] | None:
    """An expression that gives the value again, and the imports that it needs; None where there is none."""
    try:
        text = repr(value)
        if len(text) > LITERAL or " at 0x" in text:
            return None
        node = ast.parse(text, mode="eval").body
    except Exception:  # noqa: BLE001  a foreign __repr__ may raise anything
        return None
    names, imports = {}, {}
    for name in free(node):
        if hasattr(builtins, name):
            continue
        if name in MODULES:
            names[name], imports[name] = importlib.import_module(name), f"import {name}"
            continue
        home = next((module for module in MODULES if hasattr(sys.modules.get(module), name)), None)
        if home is None:
            return None
        names[name], imports[name] = getattr(sys.modules[home], name), f"from {home} import {name}"
    try:
        again = eval(compile(ast.Expression(node), "value", "eval"), names)
        same = type(again) is type(value) and bool(again == value)
    except Exception:  # noqa: BLE001  as above
        return None
    return (text, imports) if same else None
