"""One Gym-like interface for single-turn and multi-turn tasks."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gym.tasksets.task import Task, TaskSet
from gym.verifiers.result import Result, Status

Message = Mapping[str, Any]


class Env(Protocol):
    """reset gives the first messages, step takes an assistant message and gives what follows (empty: over)."""

    def reset(self, task: Task) -> list[dict[str, Any]]: ...

    def step(self, message: Message) -> list[dict[str, Any]]: ...

    def score(self) -> Result: ...


class SingleTurn:
    """A taskset as an environment: one answer, then it is over."""

    def __init__(self, taskset: TaskSet) -> None:
        self.taskset = taskset
        self._task: Task | None = None
        self._answer: str | None = None

    def reset(self, task: Task) -> list[dict[str, Any]]:
        self._task, self._answer = task, None
        return [dict(message) for message in task.messages]

    def step(self, message: Message) -> list[dict[str, Any]]:
        self._answer = str(message.get("content") or "")
        return []

    def score(self) -> Result:
        if self._task is None:
            raise ValueError("reset the environment first")
        if self._answer is None:
            return Result(0.0, Status.NO_ANSWER, "no answer was given")
        return self.taskset.score(self._task, self._answer)


class Retries:
    """A taskset in which a wrong answer may be corrected: the verdict's reason is the reply, up to `turns` answers."""

    def __init__(self, taskset: TaskSet, turns: int = 3) -> None:
        self.taskset, self.turns = taskset, turns
        self._task: Task | None = None
        self._verdicts: list[Result] = []

    def reset(self, task: Task) -> list[dict[str, Any]]:
        self._task, self._verdicts = task, []
        return [dict(message) for message in task.messages]

    def step(self, message: Message) -> list[dict[str, Any]]:
        if self._task is None:
            raise ValueError("reset the environment first")
        self._verdicts.append(self.taskset.score(self._task, str(message.get("content") or "")))
        if self._verdicts[-1].score == 1.0 or len(self._verdicts) >= self.turns:
            return []
        return [{"role": "user", "content": f"That is not right: {self._verdicts[-1].reason}. Try again."}]

    def score(self) -> Result:
        return self._verdicts[-1] if self._verdicts else Result(0.0, Status.NO_ANSWER, "no answer was given")


def run(env: Env, task: Task, policy: Any, limit: int = 50) -> tuple[list[dict[str, Any]], Result]:
    """Plays an episode; `policy` maps messages to an assistant message."""
    messages = env.reset(task)
    for _ in range(limit):
        said = dict(policy(messages))
        messages = [*messages, said]
        follows: Sequence[dict[str, Any]] = env.step(said)
        if not follows:
            break
        messages = [*messages, *follows]
    return messages, env.score()
