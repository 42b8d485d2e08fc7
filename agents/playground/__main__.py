"""A page to talk with a model, its tools really called: `k2 chat models/rl --world rail_tickets`.

    python -m agents.playground models/rl [--world rail_tickets] [--mcp "mcp-server-time"] [--mcp http://HOST:PORT/mcp]

One process serves the model, the page and the tools on 127.0.0.1; Ctrl-C ends it and the MCP servers that it started.
An OpenAI-compatible server's `URL#model` is talked with in the same way.
"""

import argparse
import os
import shlex
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from fastapi import FastAPI

from agents.chat.protocol import ChatError
from agents.chat.redact import public
from agents.chat.spec import is_endpoint, needs_model
from agents.playground.relay import Relay
from agents.playground.tools import McpSource, Shelf, ToolSource, UnknownWorld, WorldSource, find_world
from agents.tools.harvest import McpToolbox, ServerError
from k2model.errors import CheckpointError, ConfigError
from k2model.serving import server
from k2model.serving.app import make_app

HOST = "127.0.0.1"
NAMES = frozenset({HOST, "localhost"})  # under which the page is opened
REFUSALS = (ChatError, CheckpointError, ConfigError, ServerError, UnknownWorld)


def open_shelf(worlds: list[str], servers: list[str], stack: ExitStack) -> Shelf | None:
    """The tools that were asked for; the MCP servers end with `stack`.

    Raises:
        UnknownWorld, ServerError, ConfigError: there is none.
    """
    sources: list[ToolSource] = [WorldSource(find_world(name)) for name in worlds]
    for text in servers:
        toolbox = McpToolbox(text if is_endpoint(text) else _command(text))
        sources.append(McpSource(stack.enter_context(toolbox)))
    return Shelf(sources) if sources else None


def _command(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--mcp: {text!r}: {error}") from None
    if not words:
        raise ConfigError("--mcp: an empty command")
    return words


def open_app(args: argparse.Namespace, shelf: Shelf | None) -> tuple[FastAPI, str, server.Working]:
    """(application, name of the model, what works behind it)."""
    if is_endpoint(args.model):
        if needs_model(args.model):
            raise ConfigError(f"{public(args.model)}: an endpoint needs the name of its model, as URL#model")
        relay = Relay(args.model, shelf, NAMES)
        return relay.app, relay.name, relay
    service = server.service_of(args)
    return make_app(service, shelf, NAMES), service.name, service


def _bind(port: int | None) -> socket.socket:
    if port is not None:
        return server.bind(HOST, port)
    try:
        return server.bind(HOST, server.PORT)
    except ConfigError:
        return server.bind(HOST, 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="k2 chat", description="A page to talk with a model and its tools.")
    parser.add_argument("model", help="a checkpoint folder, or URL#model of an OpenAI-compatible server")
    parser.add_argument("--world", action="append", default=[], help="a simulated application, such as rail_tickets")
    parser.add_argument("--mcp", action="append", default=[], help="an MCP server: a URL, or a command in quotes")
    server.add_options(parser)
    parser.set_defaults(port=None)  # the usual one, or a free one where that is taken
    args = parser.parse_args()
    args.host, args.name, args.max_batch = HOST, "", 4
    args.checkpoint = None if is_endpoint(args.model) else Path(args.model)
    try:
        server.check_options(args)
        sock = _bind(args.port)
        with ExitStack() as stack:
            app, name, working = open_app(args, open_shelf(args.world, args.mcp, stack))
            server.run(app, sock, lambda url: f"talk with {name} at {url}", working)
    except REFUSALS as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while the model loads, or a second one
        os._exit(130)
    server.leave(0)


if __name__ == "__main__":
    sys.exit(main())
