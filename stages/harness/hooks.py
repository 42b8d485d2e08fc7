"""How a training loop tells the world what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass
class Hooks:
    """Nothing happens where a hook isn't given.

    log: metrics of one step. flush: called right before a checkpoint is taken. progress: so many steps are done, with a
    note. say: one line for the user.
    """

    log: Callable[[Mapping[str, float], int], None] = lambda metrics, step: None
    flush: Callable[[], None] = lambda: None
    progress: Callable[[int, str], None] = lambda n, note: None
    say: Callable[[str], None] = lambda line: None
