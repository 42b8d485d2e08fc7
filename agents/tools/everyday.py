"""Authored everyday tools (`everyday_tools/*.yaml`): what people ask assistants for, with typed parameters.

    - calculate: the monthly payment of a loan
      name: loan_payment
      parameters:
        amount: int 1000..500000 dollars | on a loan of ${}
        kind: one of fixed, variable | with a {} rate | fixed

The verb says what kind of tool it is and holds the phrase after the verb in a user's sentence. A parameter is its type,
the phrase that says its value, and when it is optional its default or `optional`.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import yaml

FOLDER = Path(__file__).parent / "everyday_tools"
Verb = Literal["calculate", "get", "find", "do"]
VERBS = get_args(Verb)
PLAIN = ("share", "yes", "date", "time", "text", "id", "email", "phone", "url", "path", "username", "ip")
RANGED = re.compile(r"(int|number|year) (-?[\d.]+)\.\.(-?[\d.]+)(?: (.+))?")


@dataclass(frozen=True)
class Type:
    """What a parameter's values are.

    base: int, number, year (with `low`, `high`, `unit`), enum (`values`), list (of `item`), pool (named `pool`), or
        one of PLAIN.
    """

    base: str
    low: float = 0
    high: float = 0
    unit: str = ""
    values: tuple[str, ...] = ()
    pool: str = ""
    item: "Type | None" = None

    @classmethod
    def parse(cls, text: str, pools: frozenset[str]) -> "Type":
        """Raises ValueError for what is no type."""
        if ranged := RANGED.fullmatch(text):
            base, low, high, unit = ranged.groups()
            return cls(base, float(low), float(high), unit or "")
        if text.startswith("one of "):
            return cls("enum", values=tuple(value.strip() for value in text[7:].split(",")))
        if text.startswith("list of "):
            return cls("list", item=cls.parse(text[8:], pools))
        if text in PLAIN:
            return cls(text)
        if text in pools:
            return cls("pool", pool=text)
        raise ValueError(f"no type {text!r}")


@dataclass(frozen=True)
class Parameter:
    """phrase: how its value is said, `{}` is the value; of a boolean the noun. default: as in the file, or None."""

    name: str
    type: Type
    phrase: str
    optional: bool
    default: str | None


@dataclass(frozen=True)
class EverydayTool:
    domain: str
    verb: Verb
    what: str
    name: str
    parameters: tuple[Parameter, ...]


def _parameter(name: str, text: str, pools: frozenset[str]) -> Parameter:
    kind, phrase, *rest = text.split(" | ")
    default = rest[0] if rest else None
    return Parameter(name, Type.parse(kind, pools), phrase, bool(rest), None if default == "optional" else default)


@cache
def everyday_tools() -> tuple[EverydayTool, ...]:
    """All of them, in the order of the files.

    Raises:
        ValueError: a line that can't be read, with its file and tool.
    """
    pools = frozenset(yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8")))
    tools = []
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.stem == "values":
            continue
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry in content["tools"]:
            verb = next((verb for verb in VERBS if verb in entry), None)
            if verb is None:
                raise ValueError(f"{path.name}: {entry.get('name')}: none of {', '.join(VERBS)}")
            try:
                parameters = tuple(
                    _parameter(str(name), str(text), pools) for name, text in entry["parameters"].items()
                )
            except ValueError as error:
                raise ValueError(f"{path.name}: {entry['name']}: {error}") from None
            tools.append(EverydayTool(content["domain"], verb, entry[verb], entry["name"], parameters))
    return tuple(tools)
