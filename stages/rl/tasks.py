"""The tasks of one RL run: what it trains on, and what it is measured on."""

from dataclasses import dataclass
from pathlib import Path

from agents.servers import rl_family
from gym.decontaminate import Index, clean_tasks
from gym.tasksets import open_ended
from gym.tasksets.task import Task
from stages.harness.errors import InputError
from stages.harness.seeds import seed32
from stages.harness.tables import TOOLS as TABLE
from stages.harness.tables import read_table
from stages.rl.episodes import OWN_TOOLS, TOOLS, tool_tasks
from stages.rl.families import Families
from stages.rl.params import RlParams

TOOLS_IN = Path("data/tools.parquet")
OPEN = "open_ended"  # prompts that the policy itself judges


@dataclass(frozen=True)
class RunTasks:
    """train: by family, with `OPEN`, `TOOLS` and `OWN_TOOLS`. held: of the verifiable families. held_tools: tool tasks,
    of other applications than those in `train`, and requests to tools of the user's that no other task declares.

    overlapping: tasks left out of training, by family/benchmark.
    """

    train: dict[str, list[Task]]
    held: dict[str, list[Task]]
    held_tools: dict[str, list[Task]]
    overlapping: dict[str, int]


def run_tasks(families: Families, p: RlParams, difficulty: float, seed: int, index: Index) -> RunTasks:
    """The tasks that a run's seed draws.

    Args:
        index: benchmarks' texts; tasks that overlap are not trained on.

    Raises:
        InputError: a family has no problem on a side, or every one is a benchmark's.
    """

    def drawn(*names: str) -> int:
        return seed32(seed, *names)

    train, held = {}, {}
    for name in families.tasksets:
        train[name] = families.tasks(name, "train", p.pool, drawn("pool", name), difficulty)
        held[name] = families.tasks(name, "held", p.held_tasks, drawn("held", name), difficulty)
    train[OPEN] = open_ended.tasks(p.pool, drawn("pool", OPEN))
    held_tools: dict[str, list[Task]] = {}
    if p.tool_tasks:
        train[TOOLS] = tool_tasks(p.pool, drawn("pool", TOOLS), "train")
        held_tools[TOOLS] = tool_tasks(p.held_tasks, drawn("held", TOOLS), "held")
    if p.own_tool_tasks:
        rows = read_table(TOOLS_IN, TABLE).to_pylist()
        train[OWN_TOOLS] = rl_family.tasks(rows, p.pool, drawn("pool", OWN_TOOLS))
        if not train[OWN_TOOLS]:
            raise InputError(
                f"rl.own_tool_tasks: {TOOLS_IN} has no tools of an MCP server; tools.mcp_servers names some"
            )
        held_tools[OWN_TOOLS] = rl_family.held_tasks(rows, p.held_tasks, drawn("held", OWN_TOOLS))
    overlapping: dict[str, int] = {}
    for name, tasks in train.items():
        train[name], dropped = clean_tasks(tasks, index)
        if not train[name]:
            raise InputError(f"tasks.families: every task of {name} is a benchmark's")
        overlapping |= {f"{name}/{benchmark}": count for benchmark, count in dropped.items()}
    return RunTasks(train, held, held_tools, overlapping)
