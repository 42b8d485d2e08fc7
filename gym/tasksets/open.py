"""A taskset by its name."""

from pathlib import Path

from gym.repositories.stored import StoredTasks
from gym.sandbox import Box
from gym.tasksets.task import TaskSet

REASONING = "reasoning/"
REPOSITORY = frozenset({"repair", "completion"})
SANDBOXED = frozenset({"code", *REPOSITORY})  # an answer runs in a sandbox, for up to seconds
OTHERS = frozenset({"arithmetic_expressions", "arithmetic_words", "instructions", "facts", *SANDBOXED})


def known(name: str) -> bool:
    """Whether `open_taskset` has this name; nothing that needs a package loads but for `reasoning/`."""
    if name.startswith(REASONING):
        from gym.tasksets.reasoning import FAMILIES as REASONING_FAMILIES

        return name.removeprefix(REASONING) in REASONING_FAMILIES
    from gym.tasksets.elementary import FAMILIES

    return name in FAMILIES or name in OTHERS


def open_taskset(
    name: str, *, box: Box | None = None, facts: Path | None = None, stored: StoredTasks | None = None
) -> TaskSet:
    """Opens a family of elementary tasks, `arithmetic_expressions`, `arithmetic_words`, `reasoning/<family>`,
    `instructions`, `facts`, `code`, `repair` or `completion`. Packages load when a taskset that needs them is opened.

    Args:
        box: an open sandbox, for `code`.
        facts: the parquet file of `facts`.
        stored: tasks of real repositories, for `repair` and `completion`.

    Raises:
        ValueError: an unknown name, or what this taskset needs is not given.
    """
    if name.startswith(REASONING):
        from gym.tasksets.reasoning import ReasoningFamily

        return ReasoningFamily(name.removeprefix(REASONING))
    if name in ("arithmetic_expressions", "arithmetic_words"):
        from gym.tasksets.arithmetic import Arithmetic

        return Arithmetic("words" if name.endswith("words") else "expressions")
    if name == "instructions":
        from gym.tasksets.instructions import Instructions

        return Instructions()
    if name == "facts":
        from gym.tasksets.facts import Facts

        if facts is None:
            raise ValueError("taskset facts needs the path of its parquet file")
        return Facts(facts)
    if name == "code":
        from gym.tasksets.code import Code

        if box is None:
            raise ValueError("taskset code needs an open sandbox")
        return Code(box)
    if name in REPOSITORY:
        from gym.tasksets.repository import Functions

        if stored is None:
            raise ValueError(f"taskset {name} needs the tasks of repositories")
        return Functions("repair" if name == "repair" else "completion", stored)
    from gym.tasksets.elementary import FAMILIES, Elementary

    if name not in FAMILIES:
        raise ValueError(f"no taskset {name!r}")
    return Elementary(name)
