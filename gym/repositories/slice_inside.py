"""Runs inside a sandbox: what an expression of a failing test needs, as a program that stands alone.

Only the standard library; `snippet_inside.py` finds it beside itself.
"""

import ast
import builtins
import sys
import types
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from statements_inside import Attributes, Names, Plain, free, history, judges, parsed, stores, written

INLINE = 48  # of one that may stand in the place of its name
WHOLE = 200  # of one that is the whole expression
TINY = 8  # of one that may stand there each time
HELPER = 12  # lines of a helper of the tests that is taken over
LINES = 16  # of all set-up


class CannotSlice(Exception):
    """Why an expression can't stand outside its test."""


@dataclass
class Place:
    """Where an expression stands: a function of a test file while it ran, or a module.

    before: statements that ran earlier in the function and hold no other one of these. local: its live names.
    fixtures: functions that made its arguments, by name. owner: the test case, whose attributes are names here.
    """

    module: dict[str, Any]
    before: list[ast.stmt] = field(default_factory=list)
    local: dict[str, Any] = field(default_factory=dict)
    fixtures: dict[str, Any] = field(default_factory=dict)
    owner: Any = None

    def statements(self) -> list[ast.stmt]:
        return parsed(self.module).body


class Slice:
    """Collects what expressions need. literal: a name's value rather than the statements that made it."""

    def __init__(self, place: Place, work: str, code: Iterable[str], packages: Iterable[str], literal: bool) -> None:
        self.place, self.work, self.literal = place, work, literal
        self.code, self.packages = set(code), set(packages)
        self.imports: dict[str, str] = {}
        self.parts: dict[str, tuple[int, int]] = {}
        self.done: set[str] = set()
        self.uses_package = False

    def expression(self, node: ast.expr) -> str:
        """The expression's text; all that it needs is in `imports` and `setup` then.

        Raises:
            CannotSlice: it needs what can't be written down.
        """
        copy = ast.parse(ast.unparse(node), mode="eval").body
        made = Plain().visit(self.inlined(Attributes(self.place.owner).visit(copy)))
        self.supply(free(made), self.place)
        text = ast.unparse(ast.fix_missing_locations(made))
        if "\n" in text or len(text) > 240:
            raise CannotSlice("a long expression")
        return text

    def setup(self) -> list[str]:
        lines = sorted(self.parts, key=lambda text: self.parts[text])
        if sum(text.count("\n") + 1 for text in lines) > LINES:
            raise CannotSlice("a long set-up")
        return lines

    def inlined(self, node: ast.expr) -> ast.expr:
        """Short values in the place of names, and short expressions in the place of names that occur once."""
        if isinstance(node, ast.Name):  # nothing but a variable: what it was made from says more
            node = self.short(node.id, True, WHOLE) or node
        for _ in range(4):
            seen = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
            found = {name: self.short(name, seen.count(name) == 1) for name in sorted(free(node))}
            values = {name: value for name, value in found.items() if value is not None}
            if not values:
                break
            node = Names(values).visit(node)
        return node

    def short(self, name: str, once: bool, longest: int = 2 * INLINE) -> ast.expr | None:
        place = self.place
        stored, touched = history(place.before, name)
        if touched:
            return None
        if not stored and place.owner is not None and name not in place.local:
            stored = self.set_up(name)
        if len(stored) == 1 and not self.literal and once:
            match stored[0]:
                case ast.Assign(value=value) if len(ast.unparse(value)) <= longest and not judges(stored[0]):
                    copy = ast.parse(ast.unparse(value), mode="eval").body
                    return Attributes(place.owner).visit(copy)  # type: ignore[no-any-return]
        known, value = self.value(name)
        text = written(value) if known and (self.literal or not stored) else None
        if text is not None and len(text[0]) <= (INLINE if once else TINY):
            self.imports.update(text[1])
            return ast.parse(text[0], mode="eval").body
        return None

    def value(self, name: str) -> tuple[bool, Any]:
        place = self.place
        if name in place.local:
            return True, place.local[name]
        if place.owner is not None and name not in place.module and hasattr(place.owner, name):
            return True, getattr(place.owner, name)
        return False, None

    def supply(self, names: Iterable[str], place: Place) -> None:
        for name in sorted(names):
            if name not in self.done:
                self.done.add(name)
                self.one(name, place)

    def one(self, name: str, place: Place) -> None:
        stored, touched = history(place.before, name)
        known, value = self.value(name) if place is self.place else (False, None)
        text = written(value) if known else None
        if text is not None and (self.literal or not (stored or touched)):
            self.imports.update(text[1])
            self.add(1, len(self.parts), f"{name} = {text[0]}")
        elif stored:
            for statement in dict.fromkeys([*stored, *touched]):
                self.statement(statement, name, place)
        elif name in place.fixtures:
            self.fixture(name, place.fixtures[name])
        elif known and place.owner is not None and name not in place.local:
            made = self.set_up(name)
            if len(made) != 1:
                raise CannotSlice(f"the attribute {name}")
            self.statement(made[0], name, Place(place.module, owner=place.owner))
        elif known:
            if not self.importable(name, value, place):
                raise CannotSlice(f"the value of {name}")
        elif name in place.module:
            if not self.importable(name, place.module[name], place):
                self.definition(name, place)
        elif not hasattr(builtins, name):
            raise CannotSlice(f"the name {name}")

    def add(self, rank: int, position: int, text: str) -> None:
        if self.work in text:
            raise CannotSlice("a path of the working folder")
        self.parts.setdefault(text, (rank, position))

    def statement(self, statement: ast.stmt, name: str, place: Place) -> None:
        if judges(statement) or statement.end_lineno - statement.lineno >= HELPER:  # type: ignore[operator]
            raise CannotSlice(f"the statement that makes {name}")
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if not self.importable(name, place.local.get(name, place.module.get(name)), place):
                raise CannotSlice(f"the import of {name}")
            return
        made = Attributes(place.owner).visit(ast.parse(ast.unparse(statement)))
        self.supply(free(made) - {name}, place)
        self.add(2, statement.lineno, ast.unparse(made))

    def fixture(self, name: str, function: Any) -> None:
        """Takes the fixture's body over: straight statements, then what it returns or yields."""
        place = Place(function.__globals__)
        for node in ast.walk(parsed(place.module)):
            if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
                *first, last = node.body
                value = getattr(last, "value", None)
                if isinstance(last, ast.Expr) and isinstance(value, ast.Yield):
                    value = value.value
                elif not isinstance(last, ast.Return):
                    break
                if value is None or node.args.args or any(isinstance(part, ast.Yield) for part in first):
                    break
                place.before = [part for part in first if not isinstance(part, ast.Expr)]
                self.supply(free(value), place)
                for part in first:
                    if not isinstance(part, ast.Expr) or not isinstance(part.value, ast.Constant):
                        self.statement(part, name, place)
                return self.add(2, last.lineno, f"{name} = {ast.unparse(value)}")
        raise CannotSlice(f"the fixture {name}")

    def set_up(self, name: str) -> list[ast.stmt]:
        """`self.x = …` of setUp and the like, where it is the only one."""
        module = vars(sys.modules[type(self.place.owner).__module__])
        return [
            statement
            for node in ast.walk(parsed(module))
            if isinstance(node, ast.FunctionDef) and node.name in ("setUp", "setup_method", "setUpClass")
            for statement in node.body
            if isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) in (f"self.{name}", f"cls.{name}")
        ]

    def definition(self, name: str, place: Place) -> None:
        """A helper that a module of the tests defines, or takes from another one of them."""
        for statement in place.statements():
            if stores(statement, name) and not isinstance(statement, ast.Import):
                if isinstance(statement, ast.ImportFrom):
                    return self.definition(original(statement, name), Place(source_of(statement, place.module)))
                if statement.end_lineno - statement.lineno >= HELPER:  # type: ignore[operator]
                    break
                self.supply(free(statement) - {name}, Place(place.module))
                return self.add(0, len(self.parts), ast.unparse(statement))
        raise CannotSlice(f"the global {name}")

    def importable(self, name: str, value: Any, place: Place) -> bool:
        """Notes the shortest public import of a value; False where there is none outside the tests."""
        if getattr(builtins, name, self) is value:
            return True
        modules: list[tuple[str, str]] = []
        for node in [*ast.walk(parsed(place.module)), *place.before]:
            if isinstance(node, ast.Import) and stores(node, name) and isinstance(value, types.ModuleType):
                for alias in node.names:
                    if (alias.asname or alias.name).split(".")[0] == name and self.public(alias.name):
                        self.note(name, alias.name, f"import {alias.name}" + (f" as {name}" if alias.asname else ""))
                        return True
            if isinstance(node, ast.ImportFrom) and (stores(node, name) or node.names[0].name == "*"):
                modules.append((source_of(node, place.module).get("__name__", ""), original(node, name)))
        if isinstance(value, types.ModuleType):
            parent, _, last = value.__name__.rpartition(".")
            modules = [(parent, last)] if parent else []
            if not parent and self.public(value.__name__):
                self.note(name, last, f"import {last}" + (f" as {name}" if name != last else ""))
                return True
        home, real = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if isinstance(home, str) and isinstance(real, str) and real.isidentifier():
            modules += [(home, real), (home.lstrip("_"), real)]
            modules += [(module, real) for module in list(sys.modules) if module.split(".")[0] == home.split(".")[0]]
        fits = [
            (any(part.startswith("_") for part in module.split(".")), module.count("."), rank, module, attribute)
            for rank, (module, attribute) in enumerate(modules)
            if self.public(module) and getattr(sys.modules.get(module), attribute, None) is value
        ]
        if not fits:
            return False
        *_, module, attribute = min(fits)
        self.note(name, module, f"from {module} import {attribute}" + (f" as {name}" if attribute != name else ""))
        return True

    def note(self, name: str, module: str, text: str) -> None:
        self.uses_package |= module.split(".")[0] in self.packages
        self.imports[name] = text

    def public(self, module: str) -> bool:
        """Whether a user could import it: no module of the tests."""
        if not module or module.split(".")[0] in ("pytest", "_pytest", "__main__", "conftest"):
            return False
        path = getattr(sys.modules.get(module), "__file__", None) or ""
        return not path.startswith(f"{self.work}/") or path[len(self.work) + 1 :] in self.code


def original(statement: ast.ImportFrom, name: str) -> str:
    return next((alias.name for alias in statement.names if (alias.asname or alias.name) == name), name)


def source_of(statement: ast.ImportFrom, module: dict[str, Any]) -> dict[str, Any]:
    """The names of the module that a statement imports from; none where it isn't loaded."""
    found = statement.module or ""
    if statement.level:
        package = str(module.get("__package__") or "").split(".")
        base = package[: len(package) - statement.level + 1]
        found = ".".join([*base, *([found] if found else [])])
    return vars(sys.modules[found]) if found in sys.modules else {}
