"""The episodes of RL: one answer to a question, or a tool-use conversation in a simulated world."""

from collections.abc import Sequence

from gym.tasksets.elementary import Elementary
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status
from k2model.chat import encode_prompt
from k2model.parse import parse_completion
from k2model.tokenizer import K2Tokenizer


class Answer:
    """A task with one answer; `taskset` None means that nothing can verify it."""

    def __init__(self, tokenizer: K2Tokenizer, taskset: Elementary | None, task: Task) -> None:
        self.tokenizer, self.taskset, self.task = tokenizer, taskset, task
        self._said: str | None = None

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages))

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_completion(self.tokenizer.decode(completion))
        self._said = "" if parsed.errors or parsed.tool_calls else parsed.content
        return []

    def verdict(self) -> Result:
        if self._said is None:
            return Result(0.0, Status.NO_ANSWER, "cut before the answer ended")
        if self.taskset is None:
            return Result(None, Status.NO_ANSWER, "not verifiable")
        return self.taskset.score(self.task, self._said)

    def answer(self) -> str:
        return self._said or ""
