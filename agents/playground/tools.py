"""What the page's conversations can call: a simulated world, and the tools of MCP servers."""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agents.chat.redact import public, redact
from agents.tools.declaration import declaration
from agents.tools.harvest import McpToolbox
from agents.worlds.reading import authored
from agents.worlds.simulator import Simulator
from agents.worlds.surface import Surface, surface
from agents.worlds.world import World
from k2model.serving.page import OfferedTool

WORLDS = 64  # of conversations that are kept; the one that was used longest ago goes first
WORLD_SEED = 0
CHANGES = 2  # that are on at first, with what reads their records; a small context holds their declarations


class ToolSource(Protocol):
    """Where tools come from; the rest is as in `k2model.serving.page.PageTools`."""

    def offered(self) -> Sequence[OfferedTool]: ...

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]: ...

    def state(self, conversation: str) -> Mapping[str, Any] | None: ...


class UnknownWorld(ValueError):
    """No application has this name; the message lists those that there are."""


def find_world(name: str) -> Surface:
    """The application with this name, as it is written; raises UnknownWorld."""
    if name not in authored():
        raise UnknownWorld(f"no world {name!r}; there are {', '.join(authored())}")
    return surface(name, 0)


class WorldSource:
    """A world for each conversation, the same at the beginning of each."""

    def __init__(self, desk: Surface) -> None:
        self._desk = desk
        self._worlds: OrderedDict[str, Simulator] = OrderedDict()
        self._lock = threading.Lock()

    def offered(self) -> Sequence[OfferedTool]:
        """All tools of the application; on are its first changes and what finds or shows the records that they need."""
        app = self._desk.app
        changes = app.writes[:CHANGES]
        needed = {entity for action in changes for entity in action.refs.values()}
        on = {action.name for action in app.actions.values() if (action.finds or action.shows) in needed}
        on |= {action.name for action in changes}
        source = f"world: {app.name}"
        return [OfferedTool(source, tool.declaration(), tool.action.name in on) for tool in self._desk.tools.values()]

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        with self._lock:
            reply = self._simulator(conversation).call(name, arguments)
        return reply.text, reply.error

    def state(self, conversation: str) -> Mapping[str, Any]:
        with self._lock:
            return self._simulator(conversation).world.copy().tables

    def _simulator(self, conversation: str) -> Simulator:
        if conversation not in self._worlds:
            world = World.generate(self._desk.app, WORLD_SEED)
            self._worlds[conversation] = Simulator(self._desk, world, WORLD_SEED)
        self._worlds.move_to_end(conversation)
        while len(self._worlds) > WORLDS:
            self._worlds.popitem(last=False)
        return self._worlds[conversation]


class McpSource:
    """The tools of one running server, shared by all conversations."""

    def __init__(self, toolbox: McpToolbox) -> None:
        self._toolbox = toolbox
        self._source = f"MCP: {redact(public(toolbox.name))}"

    def offered(self) -> Sequence[OfferedTool]:
        """Raises ServerError."""
        return [
            OfferedTool(self._source, declaration(tool.name, tool.description, tool.parameters), True)
            for tool in self._toolbox.tools()
        ]

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        return self._toolbox(name, arguments)

    def state(self, conversation: str) -> None:
        return None


class Shelf:
    """The tools of several sources as one set (`k2model.serving.page.PageTools`), under names that every server takes:
    letters, digits, `_` and `-`, each name once.

    Raises:
        ServerError: an MCP server doesn't list its tools.
    """

    def __init__(self, sources: Sequence[ToolSource]) -> None:
        self._sources = sources
        self._by_name: dict[str, tuple[ToolSource, str]] = {}
        self._offered: list[OfferedTool] = []
        for source in sources:
            for tool in source.offered():
                function = tool.declaration["function"]
                name = self._free_name(function["name"])
                self._by_name[name] = source, function["name"]
                declaration = {"type": "function", "function": {**function, "name": name}}
                self._offered.append(OfferedTool(tool.source, declaration, tool.on))

    def offered(self) -> Sequence[OfferedTool]:
        return self._offered

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        source, own_name = self._by_name[name]
        return source.call(conversation, own_name, arguments)

    def state(self, conversation: str) -> Mapping[str, Any] | None:
        states = [state for source in self._sources if (state := source.state(conversation)) is not None]
        return {kind: table for state in states for kind, table in state.items()} if states else None

    def _free_name(self, wanted: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)
        names = (base if number == 1 else f"{base}_{number}" for number in range(1, len(self._by_name) + 2))
        return next(name for name in names if name not in self._by_name)
