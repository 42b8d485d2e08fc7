"""Which declared tools are learned from, and which are kept for measuring: a tenth, and never in both places.

Operations of a service stand together, functions of a package too; of authored tools each stands for itself. A user's
own tools are split by `agents/servers/own.py`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from agents.tools.everyday import EverydayTool
from gym.tasksets.elementary import Side

HELD_SHARE = 0.1


def side_of(entity: str) -> Side:
    """By a hash of its name, so that tools that come later move none."""
    place = int.from_bytes(hashlib.sha256(entity.encode()).digest()[:4])
    return "held" if place < HELD_SHARE * 2**32 else "train"


def authored_on(side: Side, tools: Iterable[EverydayTool]) -> list[EverydayTool]:
    return [tool for tool in tools if side_of(tool.key) == side]


def rows_on(side: Side, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of rows of tools.parquet those that are no user's and on this side; a user's are on the side `train`."""
    return [
        row
        for row in rows
        if (side_of(f"{row['source']}/{row['application']}") if row["source"] != "mcp" else "train") == side
    ]
