"""Real MCP servers of packages, one declarative file each (`specs/*.yaml`): how to start it, its sandbox, its tasks.

    about: notes in a folder            # what the server works on, for an agent that declines
    module: fsguard_mcp.server          # started as `python -m`
    values:                             # drawn once a conversation, in order; later ones may use earlier ones
      place: [docs, notes]
      copies: int 2..9
    lists:                              # several distinct elements each
      note: {count: [3, 5], fields: {name: [oil, roof], text: ["About the {name}."]}}
    files: [{each: note, path: "{place}/{note.name}.txt", text: "{note.text}"}]
    intents:
      read:
        uses: {n: note}                 # elements that no other intent of the conversation uses
        say: ["[Show|Open] {place}/{n.name}.txt."]
        steps: [{call: fs_read, with: {path: "{place}/{n.name}.txt"}, take: {text: "(About .*)"}}]
        answer: ["It says: {text}"]

Strings hold `{name}`s; the sentences also alternatives in brackets. Steps are as `agents/servers/driver.py` runs them.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agents.servers.driver import fill
from agents.tools.everyday import pools
from gym.yaml_text import load_yaml_text

FOLDER = Path(__file__).parent / "specs"
HELD = "spreadsheets"  # no conversation to learn from uses it: models are measured on it
Frames = Annotated[list[str], Field(min_length=1)]
RANGE = re.compile(r"int (-?\d+)\.\.(-?\d+)")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """A call. See `run_step` of the driver for what `take`, `find` and `shows` do with its result.

    each: `{name: values}`: a call for each value, all in one message. fails: the call gives an error.
    """

    call: str
    arguments: dict[str, Any] = Field(default={}, alias="with")
    each: dict[str, str | list[str]] = Field(default={}, alias="for", max_length=1)
    fails: bool = False
    take: dict[str, str] = {}
    find: dict[str, str] = {}
    shows: str | None = None


class Intent(_Part):
    """What a user wants in one turn.

    after: it follows one of these intents at once and uses its values; otherwise it may open a conversation.
    needs: parts of the scene that must be as they were at the start. spends: those that it changes, needed as well.
    """

    after: list[str] = []
    needs: list[str] = []
    spends: list[str] = []
    uses: dict[str, str] = {}
    draws: dict[str, Any] = {}
    say: Frames
    steps: Annotated[list[Step], Field(min_length=1)]
    answer: Frames


class Elements(_Part):
    """count: least and most. rows: fields that belong together; each element has another row, and its `index`.

    fields: in order, after the row's; the values of a list are not repeated within it while they last.
    """

    count: tuple[int, int]
    rows: list[dict[str, Any]] = []
    fields: dict[str, Any] = {}


class SceneFile(_Part):
    """each: one for every element of this list, which is named so in `path` and `text`."""

    path: str
    text: str
    each: str = ""


class Statement(_Part):
    """SQL that makes a SQLite database; each: as of a file."""

    path: str
    sql: str
    each: str = ""


class Command(_Part):
    """Run in the sandbox before the server starts; each: as of a file."""

    run: Annotated[list[str], Field(min_length=1)]
    each: str = ""


class ServerSpec(_Part):
    """context: sentences that tell what a caller must know, such as a folder; said by system or user.

    before: calls that no conversation shows.
    errors: a pattern that errors match in results of a server that does not mark them.
    """

    about: str
    module: str
    args: list[str] = []
    env: dict[str, str] = {}
    preload: list[str] = []
    weight: float = 1.0
    errors: str = ""
    values: dict[str, Any] = {}
    lists: dict[str, Elements] = {}
    files: list[SceneFile] = []
    databases: list[Statement] = []
    commands: list[Command] = []
    before: list[Step] = []
    context: list[str] = []
    intents: dict[str, Intent]

    @model_validator(mode="after")
    def _named(self) -> "ServerSpec":
        for name, intent in self.intents.items():
            unknown = [other for other in intent.after if other not in self.intents]
            unknown += [other for other in intent.uses.values() if other not in self.lists]
            if unknown:
                raise ValueError(f"intent {name}: no {unknown[0]}")
        if all(intent.after for intent in self.intents.values()):
            raise ValueError("no intent can open a conversation")
        return self


class SpecError(ValueError):
    """A file that describes no server; the message names it."""


@cache
def specs() -> Mapping[str, ServerSpec]:
    """Every server by the name of its file, in order.

    Raises:
        SpecError: a file that can't be read.
    """
    return {path.stem: read_spec(path) for path in sorted(FOLDER.glob("*.yaml"))}


def read_spec(path: Path) -> ServerSpec:
    """Raises SpecError."""
    try:
        return ServerSpec.model_validate(load_yaml_text(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SpecError(f"{path.name}: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SpecError(f"{path.name}: {where}: {first['msg']}") from None


def draw(value: Any, scope: Mapping[str, Any], rng: Random) -> Any:
    """One value: of a list, of `int LOW..HIGH`, of `pool NAME`; anything else is itself, with `{name}`s filled."""
    if isinstance(value, list):
        return fill(rng.choice(value), scope)
    if isinstance(value, str) and (bounds := RANGE.fullmatch(value)):
        return rng.randint(int(bounds[1]), int(bounds[2]))
    if isinstance(value, str) and value.startswith("pool "):
        return rng.choice(pools()[value[5:]])
    return fill(value, scope)


def draw_list(elements: Elements, scope: Mapping[str, Any], rng: Random) -> list[dict[str, Any]]:
    """Its elements as mappings from field to value."""
    count = rng.randint(*elements.count)
    rows = rng.sample(elements.rows, count) if elements.rows else [{} for _ in range(count)]
    made = [{"index": k} | {name: draw(value, scope, rng) for name, value in row.items()} for k, row in enumerate(rows)]
    for name, value in elements.fields.items():
        if isinstance(value, list) and len(value) >= count:
            values = rng.sample(value, count)
            for element, picked in zip(made, values, strict=True):
                element[name] = fill(picked, {**scope, **element})
        else:
            for element in made:
                element[name] = draw(value, {**scope, **element}, rng)
    return made
