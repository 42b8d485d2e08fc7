"""Families whose answers can be demonstrated, without what scores them."""

from gym.tasksets.task import Shown

SHOWN = frozenset({"arithmetic_expressions", "arithmetic_words", "instructions", "code"})  # beside elementary ones


def open_shown(name: str) -> Shown:
    """A family of elementary tasks or of `SHOWN`. Packages load when a family that needs them is opened.

    Raises:
        ValueError: an unknown name, or nobody can say its answers.
    """
    if name == "code":
        from gym.tasksets.code_tasks import CodeTasks

        return CodeTasks()
    from gym.tasksets.arithmetic import Arithmetic
    from gym.tasksets.elementary import FAMILIES, Elementary
    from gym.tasksets.instructions import Instructions

    if name in ("arithmetic_words", "arithmetic_expressions"):
        return Arithmetic("words" if name.endswith("words") else "expressions")
    if name == "instructions":
        return Instructions()
    if name not in FAMILIES:
        raise ValueError(f"the answers of {name!r} can't be shown")
    return Elementary(name)
