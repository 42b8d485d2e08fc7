"""Which declared tools are learned from, and which are kept for measuring: a tenth, and never in both places.

Operations of a service stand together, functions of a package too; of authored tools each stands for itself. A user's
own tools are split by `agents/servers/own.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from agents.tools.everyday import EverydayTool
from gym.tasksets.sides import Side, side_of

HELD_SHARE = 0.1


def authored_on(side: Side, tools: Iterable[EverydayTool]) -> list[EverydayTool]:
    return [tool for tool in tools if side_of(tool.key, HELD_SHARE) == side]


def rows_on(side: Side, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of rows of tools.parquet those that are no user's and on this side; a user's are on the side `train`."""
    return [
        row
        for row in rows
        if (side_of(f"{row['source']}/{row['application']}", HELD_SHARE) if row["source"] != "mcp" else "train") == side
    ]
