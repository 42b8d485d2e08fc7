"""What the page's conversations can call: a simulated world, and the tools of MCP servers."""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agents.chat.redact import public, redact
from agents.conversations.simulator import Simulator
from agents.conversations.tasks import Application, applications
from agents.conversations.world import World
from agents.tools.evolve import evolve
from agents.tools.harvest import McpToolbox
from agents.tools.spec import Action
from k2model.serving.page import OfferedTool

WORLDS = 64  # of conversations that are kept; the one that was used longest ago goes first
WORLD_SEED = 0
BASIC: tuple[Action, ...] = ("list", "get", "create", "update", "delete")  # a small context holds their declarations


class ToolSource(Protocol):
    """Where tools come from; the rest is as in `k2model.serving.page.PageTools`."""

    def offered(self) -> Sequence[OfferedTool]: ...

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]: ...

    def state(self, conversation: str) -> Mapping[str, Any] | None: ...


class UnknownWorld(ValueError):
    """No application has this name; the message lists those that there are."""


def find_application(name: str) -> Application:
    """The application of the simulated worlds with this name; raises UnknownWorld."""
    known = {app.name: app for app in applications(evolve())}
    if name not in known:
        raise UnknownWorld(f"no world {name!r}; there are {', '.join(known)}")
    return known[name]


class WorldSource:
    """A world for each conversation, the same at the beginning of each."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._worlds: OrderedDict[str, Simulator] = OrderedDict()
        self._lock = threading.Lock()

    def offered(self) -> Sequence[OfferedTool]:
        """All tools of the application; on are the basic ones of its first kind."""
        first = self._app.kinds[0]
        basic = {tool.action: tool.name for tool in reversed(self._app.tools.values()) if tool.kind == first}
        on = {basic[action] for action in BASIC if action in basic}
        source = f"world: {self._app.name}"
        return [OfferedTool(source, tool.declaration(), tool.name in on) for tool in self._app.tools.values()]

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        with self._lock:
            reply = self._simulator(conversation).call(name, arguments)
        return reply.text, reply.error

    def state(self, conversation: str) -> Mapping[str, Any]:
        with self._lock:
            return self._simulator(conversation).world.copy().entities

    def _simulator(self, conversation: str) -> Simulator:
        if conversation not in self._worlds:
            world = World.generate(self._app.kinds, WORLD_SEED)
            self._worlds[conversation] = Simulator(list(self._app.tools.values()), world, WORLD_SEED)
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
            OfferedTool(self._source, _declaration(tool.name, tool.description, tool.parameters), True)
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


def _declaration(name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": dict(parameters)}
    return {"type": "function", "function": function}
