"""Families of `reasoning-gym`, each with its own generator and scorer, by a seed and one difficulty.

Left out, with the reason: families whose scorer runs the answer as Python (`eval`, sympy's `parse_expr`), families
whose own answer does not score 1 or whose scorer fails on or accepts nonsense, and generators that can take minutes.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from reasoning_gym.factory import CURRICULA, DATASETS, create_curriculum, create_dataset

from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status

RUN_THE_ANSWER = (
    "binary_matrix countdown intermediate_integration n_queens number_sorting puzzle24 simple_integration "
    "spiral_matrix string_insertion"
).split()
RUN_FOREIGN_CODE = ["codeio", "bf"]
SCORE_WRONGLY = (
    "boxnet game_of_life_halting graph_color knight_swap prime_factorization propositional_logic rubiks_cube rush_hour"
).split()
TAKE_LONG = "game_of_life jugs polynomial_multiplication sokoban zebra_puzzles".split()
NO_DIAL = ["caesar_cipher", "survo"]  # their curricula make configurations that they refuse
LEFT_OUT = {*RUN_THE_ANSWER, *RUN_FOREIGN_CODE, *SCORE_WRONGLY, *TAKE_LONG, *NO_DIAL, "composite"}
FAMILIES = tuple(sorted(set(DATASETS) - LEFT_OUT))
WORD_PROBLEMS = ("gsm_symbolic", "leg_counting", "chain_sum", "time_intervals", "calendar_arithmetic")
ANSWER = re.compile(r"(?:^|\n)\s*Answer:[ \t]*", re.IGNORECASE)
END = "End with a line that begins with 'Answer:' and has your answer."


@cache
def _dataset(family: str, difficulty: float, seed: int, size: int) -> Any:
    if family not in CURRICULA:
        return create_dataset(family, seed=seed, size=size)
    curriculum = create_curriculum(family)
    for name, attribute in curriculum.attributes.items():
        curriculum.set_attr_level(name, round(difficulty * (len(attribute.levels) - 1)))
    return DATASETS[family][0](curriculum.generate_configuration({"seed": seed, "size": size}))


def final_answer(answer_text: str) -> str:
    """What follows the last `Answer:`, or the whole text."""
    return ANSWER.split(answer_text)[-1].strip()


@dataclass(frozen=True)
class ReasoningFamily:
    """One family; `difficulty` sets every dial of its curriculum between the lowest and the highest level.

    Raises:
        ValueError: no such family, or one that is left out.
    """

    family: str

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"no reasoning family {self.family!r}")

    @property
    def name(self) -> str:
        return f"reasoning/{self.family}"

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, equal for equal arguments."""
        dataset = _dataset(self.family, difficulty, seed, n)
        return [self._task(dataset[number], number, seed, difficulty) for number in range(n)]

    def _task(self, entry: dict[str, Any], number: int, seed: int, difficulty: float) -> Task:
        return Task(
            id=f"{self.family}-{seed}-{difficulty:g}-{number}",
            taskset=self.name,
            seed=seed,
            difficulty=difficulty,
            domain="reasoning",
            messages=({"role": "user", "content": f"{entry['question']}\n\n{END}"},),
            token_budget=512,
            payload={"entry": entry},
        )

    def score(self, task: Task, answer_text: str) -> Result:
        """The family's own score in [0, 1]; a scorer that raises says nothing about the answer."""
        text = final_answer(answer_text)
        if not text:
            return Result(0.0, Status.NO_ANSWER, "empty answer")
        scorer = _dataset(self.family, task.difficulty, task.seed, 1)
        try:
            score = float(scorer.score_answer(answer=text, entry=task.payload["entry"]))
        except Exception as error:  # noqa: BLE001  seventy foreign scorers raise anything
            return Result(None, Status.VERIFIER_ERROR, f"{self.family}: {type(error).__name__}: {error}"[:120])
        return Result(min(1.0, max(0.0, score)), Status.SCORED, f"{self.family}: read as {text[:60]!r}")
