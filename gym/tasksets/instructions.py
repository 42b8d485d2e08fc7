"""Instruction following composed from the official checkers: a topic and one to three instructions that can agree."""

from typing import Any

import numpy as np

from gym.tasksets.elementary import WORDS
from gym.tasksets.task import Task
from gym.verifiers.instructions import Instruction, describe, verify
from gym.verifiers.result import Result

TOPICS = ("a walk by the sea", "how bread is made", "the first day of school", "why cities need trees", "a lost letter")


def _draw(rng: np.random.Generator) -> list[Instruction]:
    """One instruction of each group, so that no two contradict each other."""
    words = [str(word) for word in rng.choice(WORDS, 3, replace=False)]
    count = int(rng.integers(2, 5))
    groups: list[list[tuple[str, dict[str, Any]]]] = [
        [
            ("keywords:existence", {"keywords": words[:2]}),
            ("keywords:forbidden_words", {"forbidden_words": words}),
            ("keywords:frequency", {"keyword": words[0], "frequency": count, "relation": "at least"}),
        ],
        [
            ("change_case:english_lowercase", {}),
            ("punctuation:no_comma", {}),
            ("length_constraints:number_words", {"num_words": 20 * count, "relation": "at least"}),
        ],
        [
            ("startend:quotation", {}),
            ("startend:end_checker", {"end_phrase": "that is all"}),
            ("detectable_format:number_bullet_lists", {"num_bullets": count}),
            ("detectable_format:title", {}),
        ],
    ]
    order = rng.permutation(len(groups))[: int(rng.integers(1, 4))]
    chosen = [groups[k][int(rng.integers(len(groups[k])))] for k in sorted(order.tolist())]
    return [Instruction(name, arguments) for name, arguments in chosen]


class Instructions:
    """Difficulty grows with the number of instructions."""

    name = "instructions"

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        rng = np.random.default_rng([seed, 53])
        found = []
        for number in range(n):
            wanted = _draw(rng)
            topic = TOPICS[int(rng.integers(len(TOPICS)))]
            text = " ".join([f"Write about {topic}.", *describe(wanted)])
            found.append(
                Task(
                    id=f"instructions-{seed}-{number}",
                    taskset=self.name,
                    seed=seed,
                    difficulty=len(wanted) / 3,
                    domain="instruction following",
                    messages=({"role": "user", "content": text},),
                    token_budget=400,
                    payload={"instructions": [{"id": one.id, "arguments": dict(one.arguments)} for one in wanted]},
                )
            )
        return found

    def score(self, task: Task, answer_text: str) -> Result:
        wanted = [Instruction(one["id"], one["arguments"]) for one in task.payload["instructions"]]
        return verify(wanted, str(task.messages[-1]["content"]), answer_text)
