"""Suites that a small model can show something on: held elementary problems, and reasoning-gym where installed."""

import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Reply, Sample
from gym.tasksets.elementary import FAMILIES, Elementary
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

SEED = 20251106
# None whose scorer runs the answer as Python: gym/tasksets/reasoning.py lists those.
REASONING = (
    "chain_sum",
    "basic_arithmetic",
    "simple_equations",
    "leg_counting",
    "knights_knaves",
    "letter_counting",
    "word_sorting",
    "spell_backward",
    "syllogism",
    "gcd",
)


class ElementarySuite(Benchmark):
    """Problems of RL's families that no training ever draws (their `held` side)."""

    name = "elementary"

    def __init__(self, path: Path | None = None, each: int = 40) -> None:
        super().__init__()
        base.takes_no_data(self.name, path)
        self.tasks: dict[str, tuple[Elementary, Task]] = {}
        for family in FAMILIES:
            taskset = Elementary(family, "held")
            for task in taskset.tasks(each, SEED, 0.25):
                self.tasks[task.id] = (taskset, task)
        rows = [(task.id, task.messages[-1]["content"], task.payload) for _, task in self.tasks.values()]
        self.manifest = base.builtin_manifest(self.name, rows)

    def items(self) -> list[Sample]:
        return [Sample(task.id, task.messages, task.payload, group=task.taskset) for _, task in self.tasks.values()]

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        taskset, task = self.tasks[sample.id]
        return Grade(taskset.score(task, reply.text), reply.text.strip())

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(str(sample.gold["answer"]))

    def summary(self, rows: Any) -> dict[str, float]:
        by_group: dict[str, list[float]] = {}
        for row in rows:
            by_group.setdefault(row["group"], []).append(row["score"])
        return {group: sum(scores) / len(scores) for group, scores in by_group.items()}


class ReasoningGym(Benchmark):
    """Seeded generators of the package `reasoning-gym` with its own scorers; a full score counts as right."""

    name = "reasoning_gym"

    def __init__(self, path: Path | None = None, each: int = 10) -> None:
        super().__init__()
        base.takes_no_data(self.name, path)
        if base.package_folder("reasoning_gym") is None:
            raise DataError("reasoning_gym: needs the package (pip install -r requirements-data.txt)")
        package = importlib.import_module("reasoning_gym")
        self.sets = {name: package.create_dataset(name, seed=SEED, size=each) for name in REASONING}
        rows = [[name, entry["question"], entry["answer"]] for name, some in self.sets.items() for entry in some]
        version = importlib.metadata.version("reasoning-gym")
        self.manifest = base.Manifest(
            f"reasoning-gym-{version}-seed{SEED}",
            "package reasoning-gym",
            version,
            "Apache-2.0",
            len(rows),
            base.sha256_json(json.loads(json.dumps(rows, default=str))),
        )

    def items(self) -> list[Sample]:
        return [
            Sample(
                f"{name}-{i}",
                base.user(entry["question"]),
                {"set": name, "index": i, "answer": entry["answer"]},
                group=name,
            )
            for name, some in self.sets.items()
            for i, entry in enumerate(some)
        ]

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        some = self.sets[sample.gold["set"]]
        answer = reply.text.strip()
        if not answer:
            return base.no_answer("empty answer")
        try:
            value = float(some.score_answer(answer, some[sample.gold["index"]]))
        except Exception as error:  # noqa: BLE001  ten foreign scorers raise anything
            reason = f"{sample.group}: {type(error).__name__}: {error}"[:120]
            return Grade(Result(None, Status.VERIFIER_ERROR, reason), answer[:200])
        return Grade(Result(float(value >= 1.0), Status.SCORED, f"reward {value:.3g}"), answer[:200], {"reward": value})

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(str(sample.gold["answer"]))
