"""The verifiable tasks of RL by family name, split into what is trained on and what is held.

Any taskset of the gym, and the families in which tools are declared: `calls` on real tools, conversations in `worlds`,
`your_tools`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from agents.requests import calls
from agents.servers import rl_family
from agents.tools.everyday import everyday_tools
from gym.repositories.errors import RepositoryError
from gym.repositories.stored import TABLE, StoredTasks
from gym.sandbox import LOCAL, Backend, SandboxError
from gym.tasksets.elementary import FAMILIES, Elementary
from gym.tasksets.open import REPOSITORY, known, open_taskset
from gym.tasksets.sides import Side
from gym.tasksets.task import Task, TaskSet
from stages.harness.errors import InputError
from stages.harness.seeds import seed32
from stages.harness.tables import TOOLS, read_table
from stages.posttraining.params import CALLING, CALLS, WORLDS
from stages.rl.episodes import tool_tasks
from stages.rl.limits import Limits

TOOLS_IN = Path("data/tools.parquet")
Maker = Callable[[int, int, Side], list[Task]]  # n, seed, side
DRAWS = 4  # times that a taskset is asked again for problems that were not drawn yet


class Families:
    """Families by name, those first whose answer is a text.

    Args:
        tasksets: of those whose answer is a text. calling: makes tasks of those in which tools are declared.
        workers: answers that a sandbox judges at once.
    """

    def __init__(
        self, tasksets: Mapping[str, TaskSet], workers: int = 1, calling: Mapping[str, Maker] | None = None
    ) -> None:
        self.tasksets, self.workers, self.calling = tasksets, workers, calling or {}
        self.names = [*self.tasksets, *self.calling]

    def tasks(self, name: str, side: Side, n: int, seed: int, difficulty: float) -> list[Task]:
        """Up to `n` different problems of one side; the side follows from what a problem is about, or from its text, so
        none is on both.

        Raises:
            InputError: the family has no problem on this side.
        """
        if name in self.calling:
            try:
                made = self.calling[name](n, seed, side)
            except ValueError as error:
                raise InputError(f"tasks.families: {name}: {side} side: {error}") from None
            if not made:
                raise InputError(f"tasks.families: {name} has no {side} task")
            return made
        taskset = Elementary(name, side) if name in FAMILIES else self.tasksets[name]
        tasks: dict[str, Task] = {}
        for draw in range(DRAWS):
            for task in taskset.tasks(n, seed32(seed, draw), difficulty):
                if task.side == side:
                    tasks.setdefault(task.question, task)
            if len(tasks) >= n:
                break
        if not tasks:
            raise InputError(f"tasks.families: {name} has no {side} problem at difficulty {difficulty:g}")
        return list(tasks.values())[:n]


@contextmanager
def open_families(names: Sequence[str], facts: Path, limits: Limits, backend: Backend = LOCAL) -> Iterator[Families]:
    """Opens the families `names`, with a sandbox when one of them runs code.

    Args:
        facts: the parquet file of family `facts`.
        limits: of those in which tools are declared.
        backend: where code runs.

    Raises:
        InputError: no taskset has such a name, or what it is made of is missing; or the back end can't run code here.
    """
    texts = [name for name in names if name not in CALLING]
    for name in texts:
        if not known(name):
            raise InputError(f"tasks.families: no family {name!r}")
    with ExitStack() as stack:
        try:
            box = stack.enter_context(backend.open(shell=False)) if "code" in names else None
            stored = (
                stack.enter_context(StoredTasks(TABLE, backend.workers, backend)) if REPOSITORY & set(names) else None
            )
            tasksets = {name: open_taskset(name, box=box, facts=facts, stored=stored) for name in texts}
        except (RepositoryError, ValueError) as error:
            raise InputError(f"tasks.families: {error}") from None
        except SandboxError as error:
            raise InputError(f"sandbox.backend {backend.name}: {error}") from None
        yield Families(tasksets, backend.workers, _calling([name for name in names if name in CALLING], limits))


def _calling(names: Sequence[str], limits: Limits) -> dict[str, Maker]:
    """Raises InputError: a user's tools are wanted, and no server was harvested."""
    rows = read_table(TOOLS_IN, TOOLS).to_pylist() if set(names) - {WORLDS} else []
    made: dict[str, Maker] = {}
    for name in names:
        if name == WORLDS:
            made[name] = partial(tool_tasks, limits)
        elif name == CALLS:
            made[name] = partial(calls.tasks, everyday_tools(), rows, limits.turn_tokens)
        elif rl_family.has_tools(rows):
            made[name] = partial(rl_family.tasks, rows, limits.turn_tokens)
        else:
            raise InputError(
                f"tasks.families: {name}: {TOOLS_IN} has no tools of an MCP server; tools.mcp_servers names some"
            )
    return made
