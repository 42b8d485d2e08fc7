"""Everything of an RL run but its tensors; it is in every checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.posttraining.comparison import Comparison
from stages.rl.prompts import Pool
from stages.rl.rollout import Rollout
from stages.rl.update import Group


@dataclass
class State:
    """What the next iteration follows from; `dataclasses.asdict` gives its JSON.

    waiting: the rollouts of prompts that have an unfinished one. ready: groups to train on.
    judged: the newest comparisons with a known outcome; the first answer is the right one.
    toggle_budget: tokens, 0 until there was a right answer. refused: rollouts that a server would not sample.
    """

    pools: dict[str, Pool]
    iteration: int = 0
    waiting: list[list[Rollout]] = field(default_factory=list)
    ready: list[Group] = field(default_factory=list)
    judged: list[Comparison] = field(default_factory=list)
    toggle_budget: int = 0
    refused: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "State":
        """From the JSON of a checkpoint."""
        objects = {
            "pools": {name: Pool(**pool) for name, pool in saved["pools"].items()},
            "waiting": [[Rollout(**row) for row in rows] for rows in saved["waiting"]],
            "ready": [
                Group(**{**group, "rollouts": [Rollout(**row) for row in group["rollouts"]]})
                for group in saved["ready"]
            ],
            "judged": [Comparison(**row) for row in saved["judged"]],
        }
        return cls(**{**saved, **objects})
