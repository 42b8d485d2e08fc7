"""Sampling with a scripted backend in the policy's place: held tool tasks, and who waits for whose verdict."""

import threading
from typing import Any

import pytest

from agents.conversations.trajectory import simulate
from gym.tasksets.task import Task
from gym.verifiers.result import Result, Status
from k2model.chat.messages import encode_chat, encode_prompt
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.inference.request import Generated, Request
from k2model.model import K2Model
from stages.harness.section import load_section
from stages.rl import sampling
from stages.rl.episodes import ToolUse, tool_tasks
from stages.rl.families import Families
from stages.rl.limits import Limits
from stages.rl.params import RlParams
from stages.rl.rollout import Rollout
from stages.rl.tasks import RunTasks


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
    tasks = [task for task in tool_tasks(Limits(1024, 160, 6), 30, 2, "held") if _expected(tokenizer, task) == "done"][
        :8
    ]
    turns: dict[str, list[dict[str, Any]]] = {}
    for k, task in enumerate(tasks):
        episode = ToolUse(tokenizer, task)
        proof = [message for message in simulate(episode.case).messages if message["role"] == "assistant"]
        turns[tokenizer.decode(episode.prompt())] = proof if k < 6 else []
    monkeypatch.setattr(sampling, "colocated", lambda *_: Scripted(tokenizer, turns))
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=1)
    right = sampling.tool_scores(model, tokenizer, "worlds", tasks, scale=20.0, max_batch=4, context=100_000)
    assert right == [1.0] * 6 + [0.0] * 2


def _expected(tokenizer: K2Tokenizer, task: Task) -> str:
    return ToolUse(tokenizer, task).case.task.goals[0].expected


def test_what_runs_in_a_sandbox_is_judged_while_others_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = K2Tokenizer(train_tokenizer(["a b c d e"], 276))
    judged = threading.Event()

    class Code:
        name = "code"

        def tasks(self, n: int, seed: int, difficulty: float = 0.5) -> list[Task]:
            return []

        def score(self, task: Task, answer_text: str) -> Result:
            judged.set()
            return Result(float(answer_text == "early"), Status.SCORED, answer_text)

    class Slow(Scripted):
        """The second turn comes only after the first one was judged, or too late."""

        def step(self) -> list[tuple[int, Generated]]:
            if len(self.finished) > 1:
                first, *self.finished = self.finished
                return [first]
            assert judged.wait(20), "the first answer waits for the second one to be sampled"
            return super().step()

    task = Task("t", "code", 0, 0.0, "code", ({"role": "user", "content": "a"},), 1000, {})
    says = [{"role": "assistant", "content": text} for text in ("early", "late")]
    start = tokenizer.decode(encode_prompt(tokenizer, list(task.messages)))
    backend = Slow(tokenizer, {start: says})
    p = load_section("rl", RlParams).model_copy(update={"ranks": 1})
    tasks = RunTasks({"code": [task]}, {}, {})
    sampler = sampling.Sampler(p, 0, tokenizer, Families({"code": Code()}), tasks, lambda *_: backend, 10_000)
    group = [Rollout(f"r{k}", "code", 0, 1000) for k in range(2)]
    model = K2Model(K2Config.preset("smoke", vocab_size=tokenizer.vocab_size), seed=1)
    ((found, whole),) = sampler._advance(model, [group], 1.0, 0, 100_000)
    assert found is group and whole is not None
    assert [verdict.score for verdict in whole[0]] == [1.0, 0.0] and whole[1] == ["early", "late"]
