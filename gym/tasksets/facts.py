"""Closed-book questions out of a table of facts: what a model must have learned in pre-training."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from gym.tasksets.task import Task
from gym.verifiers.exact import exact, normalise
from gym.verifiers.result import Result, Status

COLUMNS = ["fact_id", "question", "answer", "aliases", "relation", "split"]


class Facts:
    """Facts of one split of a parquet file with the columns fact_id, question, answer, aliases, relation, split.

    Raises:
        ValueError: the file has no fact of the split.
    """

    name = "facts"

    def __init__(self, path: Path, split: str = "train") -> None:
        rows = pq.read_table(path, columns=COLUMNS).to_pylist()
        self.rows = sorted((row for row in rows if row["split"] == split), key=lambda row: row["fact_id"])
        if not self.rows:
            raise ValueError(f"{path}: no fact of split {split!r}")

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` different facts, fewer when there are fewer; difficulty prefers long answers over short ones."""
        rng = np.random.default_rng([seed, 71])
        length = np.array([len(row["answer"]) for row in self.rows])
        rank = np.argsort(np.argsort(length, kind="stable"), kind="stable") / max(1, len(length) - 1)
        noise = rng.random(len(rank))
        chosen = np.argsort(np.abs(rank - difficulty) + 0.3 * noise, kind="stable")[:n]
        return [
            Task(
                id=str(row["fact_id"]),
                taskset=self.name,
                seed=seed,
                difficulty=float(rank[index]),
                domain=row["relation"],
                messages=({"role": "user", "content": row["question"]},),
                token_budget=32,
                payload={"answers": [row["answer"], *row["aliases"]]},
            )
            for index in chosen.tolist()
            for row in [self.rows[index]]
        ]

    def score(self, task: Task, answer_text: str) -> Result:
        """SQuAD's exact match on the answer or its last line; a sentence around the answer does not count."""
        lines = [line for line in re.split(r"\n+", answer_text.strip()) if normalise(line)]
        if not lines:
            return Result(0.0, Status.NO_ANSWER, "empty answer")
        return exact(lines[-1], task.payload["answers"])
