"""How many calls to a user's own tools a model makes right, before tuning and after it.

    python -m experiments.your_tools --before models/base --after models/sft

Asks for the tools of `tools.mcp_servers` that no conversation declared (a quarter of a server with eight or more), each
declared among others of its server. A call is right with the right name and arguments, compared by value and type.
`--kept N` adds N first calls to a real MCP server that nothing was learned from. A model may be a URL too.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from agents.chat.open import open_client
from agents.chat.protocol import ChatError
from agents.servers.evaluation import Item, answered, kept_server_items, own_items
from agents.servers.own import by_server
from gym.intervals import wilson
from gym.sandbox import SandboxError
from k2model.errors import CheckpointError, ConfigError
from stages.harness.errors import InputError
from stages.harness.section import load_common
from stages.harness.tables import TOOLS, read_table

TABLE = Path("data/tools.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a model folder or a URL")
    parser.add_argument("--after", required=True, help="a model folder or a URL")
    parser.add_argument("--per-tool", type=int, default=10, help="requests to each held tool")
    parser.add_argument("--kept", type=int, default=0, help="calls to the server that nothing is learned from")
    args = parser.parse_args()
    try:
        measure([args.before, args.after], args.per_tool, args.kept)
    except (InputError, ChatError, CheckpointError, ConfigError, SandboxError) as error:
        sys.exit(str(error))


def measure(models: Sequence[str], per_tool: int, kept: int) -> None:
    """Prints a line for each tool and for all of a server, with the right calls of each model.

    Raises:
        InputError: there are no tools to ask for. ChatError, CheckpointError, ConfigError: a model. SandboxError: the
        kept server can't be run here.
    """
    seed = load_common().seed
    rows = read_table(TABLE, TOOLS).to_pylist()
    if not by_server(rows) and not kept:
        raise InputError(f"{TABLE}: no tools of MCP servers; name one in tools.mcp_servers and run the stage tools")
    items = [*own_items(rows, per_tool=per_tool, seed=seed), *(kept_server_items(kept, seed) if kept else [])]
    columns = [answered(open_client(model), items) for model in models]
    print("| tool | " + " | ".join(models) + " |\n|---|" + "---|" * len(models))
    for group, places in _groups(items).items():
        print(f"| {group} | " + " | ".join(_share([column[place] for place in places]) for column in columns) + " |")


def _groups(items: Sequence[Item]) -> dict[str, list[int]]:
    """Places of items by tool, then by server."""
    tools: dict[str, list[int]] = defaultdict(list)
    servers: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        server, _, tool = item.group.partition("/")
        servers[f"{server}, all"].append(place)
        if tool:
            tools[item.group].append(place)
    return tools | servers


def _share(each: Sequence[bool]) -> str:
    low, high = wilson(sum(each), len(each))
    return f"{sum(each)} of {len(each)} ({sum(each) / len(each):.0%} [{low:.0%}, {high:.0%}])"


if __name__ == "__main__":
    main()
