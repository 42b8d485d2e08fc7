"""Held tool tasks, with a scripted backend in the policy's place."""

from typing import Any

import pytest

from agents.conversations.trajectory import simulate
from gym.tasksets.task import Task
from k2model.chat.messages import encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.inference.request import Generated, Request
from k2model.model import K2Model
from stages.rl import sampling
from stages.rl.episodes import ToolUse, tool_tasks


class Scripted:
    """Says a task's turns in order, and after them that it is sorry."""

    def __init__(self, tokenizer: K2Tokenizer, turns: dict[str, list[dict[str, Any]]]) -> None:
        self.tokenizer, self.turns, self.sampled = tokenizer, turns, 0
        self.finished: list[tuple[int, Generated]] = []
        self.handles = 0

    def submit(self, request: Request) -> int:
        text = self.tokenizer.decode(request.prompt)
        (own,) = [turns for start, turns in self.turns.items() if text.startswith(start)]
        user = {"role": "user", "content": "x"}
        turn = own.pop(0) if own else {"role": "assistant", "content": "I am sorry."}
        ids = encode_chat(self.tokenizer, [user, turn]).ids[len(encode_prompt(self.tokenizer, [user])) :]
        self.handles += 1
        self.finished.append((self.handles, Generated(0, ids, [0.0] * len(ids), finish_reason="stop")))
        return self.handles

    def step(self) -> list[tuple[int, Generated]]:
        finished, self.finished = self.finished, []
        return finished

    def interrupt(self) -> list[tuple[int, Generated]]:
        raise AssertionError("there is no limit of tokens")


def test_held_tool_success_counts_whole_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["a b c d e"], 276))
    tasks = [task for task in tool_tasks(30, 2, "held") if _expected(tokenizer, task) == "done"][:8]
    turns: dict[str, list[dict[str, Any]]] = {}
    for k, task in enumerate(tasks):
        episode = ToolUse(tokenizer, task)
        proof = [message for message in simulate(episode.case).messages if message["role"] == "assistant"]
        turns[tokenizer.decode(episode.prompt())] = proof if k < 6 else []
    monkeypatch.setattr(sampling, "colocated", lambda *_: Scripted(tokenizer, turns))
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=1)
    share = sampling.tool_success(model, tokenizer, "tools", tasks, scale=20.0, max_batch=4, context=100_000)
    assert share == 6 / 8


def _expected(tokenizer: K2Tokenizer, task: Task) -> str:
    return ToolUse(tokenizer, task).case.task.goals[0].expected
