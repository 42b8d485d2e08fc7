"""A task: what the candidate sees, and apart from it what the verifier needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gym.tasksets.sides import Side, side_of
from gym.verifiers.result import Result


@dataclass(frozen=True)
class Task:
    """One task of a taskset.

    Attributes:
        id: unique within the taskset.
        seed: what it was generated from.
        difficulty: from 0 (easiest) to 1.
        domain: e.g. `math`, `code`, `logic`.
        messages: what the candidate sees, in the OpenAI shape.
        token_budget: tokens of an answer that count as concise for this type of task.
        payload: gold and tests, for the verifier alone; never shown.
        tools: names of the functions that are declared to the candidate.
        entity: what the task is about, which decides the side that it is on; empty where the question's text does.
    """

    id: str
    taskset: str
    seed: int
    difficulty: float
    domain: str
    messages: tuple[Mapping[str, Any], ...]
    token_budget: int
    payload: dict[str, Any] = field(repr=False)
    tools: tuple[str, ...] = ()
    entity: str = ""

    @property
    def question(self) -> str:
        """What the user says at last."""
        return str(self.messages[-1]["content"])

    @property
    def side(self) -> Side:
        """By what it is about, or by the question's text."""
        return side_of(self.entity or self.question)


class TaskSet(Protocol):
    """Tasks of one kind and the rule that scores them."""

    @property
    def name(self) -> str: ...

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, equal for equal arguments."""

    def score(self, task: Task, answer_text: str) -> Result:
        """The verdict on an answer."""


class Shown(Protocol):
    """Tasks of one kind whose answers can be demonstrated."""

    def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
        """`n` tasks, equal for equal arguments."""

    def demonstration(self, task: Task) -> str:
        """What a perfect assistant says."""
