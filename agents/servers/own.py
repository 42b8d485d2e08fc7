"""A user's MCP server: what to call it, and which of its tools no conversation to learn from declares."""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from agents.tools.declaration import declaration

LAUNCHER = re.compile(r"python[\d.]*|node|npx|uvx?|run|pipx|docker|-.*")
FEW = 8  # tools; a server with fewer is measured on other requests to the tools that were learned
HELD_SHARE = 0.25
Row = Mapping[str, Any]


def default_name(server: str | Sequence[str]) -> str:
    """The host of a URL; of a command the first word that starts nothing else: `python shop.py` → `shop`."""
    if isinstance(server, str):
        return urlsplit(server).hostname or server
    names = [PurePath(word).stem for word in server if not LAUNCHER.fullmatch(PurePath(word).name)]
    return names[0] if names else PurePath(server[0]).stem


def by_server(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of tools.parquet that MCP servers declared, by the name of the server."""
    servers: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["source"] == "mcp":
            servers[row["application"]].append(row)
    return dict(servers)


def held(rows: Sequence[Row]) -> list[Row]:
    """The tools of a server that are kept for measuring: a quarter, by a hash of their names; none of few."""
    if len(rows) < FEW:
        return []
    order = sorted(rows, key=lambda row: hashlib.blake2b(str(row["name"]).encode(), digest_size=8).digest())
    kept = {row["name"] for row in order[: round(HELD_SHARE * len(rows))]}
    return [row for row in rows if row["name"] in kept]


def measured(rows: Iterable[Row]) -> list[tuple[Row, list[Row]]]:
    """The tools to measure on, each with all of its server: the held ones, or all of a server with few."""
    return [(row, own) for own in by_server(rows).values() for row in held(own) or own]


def declarations(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """The tools as a model sees them, in full, by name."""
    return {
        str(row["name"]): declaration(row["name"], row["description"], json.loads(row["parameters"])) for row in rows
    }


def learnable(rows: Iterable[Row]) -> list[Row]:
    """The rows without those that are held."""
    every = list(rows)
    kept = {(name, row["name"]) for name, own in by_server(every).items() for row in held(own)}
    return [row for row in every if row["source"] != "mcp" or (row["application"], row["name"]) not in kept]
