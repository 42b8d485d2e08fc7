"""The episodes of RL: one answer to a question, one call, or a conversation with a user and tools in a world."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from agents.conversations.agents import Agent
from agents.conversations.making import NoTask, make_task
from agents.conversations.trajectory import QUIET, Case, Conversation, Trajectory, simulate
from agents.loop import loop
from agents.requests.calls import score
from agents.worlds.reading import apart
from agents.worlds.surface import surface
from gym.tasksets.sides import Side, side_of
from gym.tasksets.task import Task, TaskSet
from gym.verifiers.result import Result, Status
from k2model.chat.messages import encode_followup, encode_prompt
from k2model.chat.model_json import loads_arguments
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids
from stages.posttraining.params import CALLS, WORLDS, YOUR_TOOLS
from stages.rl.limits import Limits


class SingleAnswer:
    """A task with one answer; `taskset` None means that nothing can verify it."""

    def __init__(self, tokenizer: K2Tokenizer, taskset: TaskSet | None, task: Task) -> None:
        self.tokenizer, self.taskset, self.task = tokenizer, taskset, task
        self._answer: str | None = None

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages))

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_ids(self.tokenizer, completion)
        self._answer = "" if parsed.errors or parsed.tool_calls else parsed.content
        return []

    def verdict(self) -> Result:
        if self._answer is None:
            return Result(0.0, Status.NO_ANSWER, "cut before the answer ended")
        if self.taskset is None:
            return Result(None, Status.NO_ANSWER, "not verifiable")
        return self.taskset.score(self.task, self._answer)

    def answer(self) -> str:
        return self._answer or ""


class OneCall:
    """A request to declared tools, answered in one turn; right are the wanted calls alone."""

    def __init__(self, tokenizer: K2Tokenizer, task: Task) -> None:
        self.tokenizer, self.task = tokenizer, task
        self._calls: list[tuple[str, Mapping[str, Any]]] | None = None
        self._answer = ""
        self.problem = ""

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages), self.task.payload["declared"])

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_ids(self.tokenizer, completion)
        if parsed.errors:
            self.problem = str(parsed.errors[0].problem)
        else:
            self._calls = [(call.name, loads_arguments(call.arguments)) for call in parsed.tool_calls]
            self._answer = parsed.content
        return []

    def verdict(self) -> Result:
        if self.problem:
            return Result(0.0, Status.SCORED, f"malformed: {self.problem}")
        if self._calls is None:
            return Result(0.0, Status.NO_ANSWER, "cut before the turn ended")
        return score(self.task, self._calls)

    def answer(self) -> str:
        return self._answer


CHARACTERS = 3.1  # of JSON for each token of the context, at least, by the base's vocabulary
PERSONAS = ("plain", "polite", "terse", "hesitant", "fickle")
SHAPES = 8  # of each application
DRAWS = 20  # for a task that is short enough


def _options(max_turns: int) -> loop.Options:
    # A rollout's tokens are only ever appended: nothing is hidden.
    return loop.Options(max_steps=max_turns, failures=3, parallel=1, context_policy="keep_all")


def tool_tasks(limits: Limits, n: int, seed: int, side: Side) -> list[Task]:
    """Up to `n` short tasks with one wish as gym tasks; the payload names what makes the conversation again.

    An application is on one side for good, and those held for evaluation alone are on neither. What the user says
    after his first message depends on the policy's, so the candidate sees one message.
    """
    apps = [app.name for app in apart(held=False) if side_of(app.name) == side]
    tasks: list[Task] = []
    for number in range(DRAWS * n):
        if len(tasks) == n:
            break
        draw = Random(f"{seed}|{number}|tool task")
        name, shape, persona = draw.choice(apps), draw.randrange(SHAPES), draw.choice(PERSONAS)
        payload: dict[str, Any] = {"application": name, "shape": shape, "persona": persona}
        payload["seed"] = draw.randrange(2**31)
        try:
            case = _case(**payload)
        except NoTask:
            continue
        shown = simulate(case)
        long = len(json.dumps([shown.tools, shown.messages])) > CHARACTERS * limits.context_tokens
        if shown.n_turns > limits.max_turns or long:
            continue
        tasks.append(
            Task(
                id=case.task.id,
                taskset=WORLDS,
                seed=case.seed,
                difficulty=0.0,
                domain=case.task.domain,
                messages=tuple(shown.messages[:2]),
                token_budget=limits.turn_tokens * sum(message["role"] == "user" for message in shown.messages),
                payload={"case": payload, "max_turns": limits.max_turns},
                tools=case.task.tools,
            )
        )
    return tasks


@lru_cache(maxsize=256)  # the rollouts of a prompt share it
def _case(application: str, shape: int, seed: int, persona: str) -> Case:
    """Raises NoTask."""
    desk = surface(application, shape)
    task = make_task(desk, seed, 1, persona, distractors=1).task
    system = f"You are a helpful assistant of {desk.app.desk}. Use the tools."
    agent = Agent("policy", system, application, shape, tuple(desk.app.actions), thinks=False)
    return Case(desk, task, agent, persona, seed, QUIET)


class ToolUse:
    """The agent loop with a simulated user in a simulated world; its judge decides success.

    A broken or cut turn ends the conversation, and so does the loop's guard against repeated and failing calls.
    """

    def __init__(self, tokenizer: K2Tokenizer, task: Task) -> None:
        self.tokenizer, self.task = tokenizer, task
        self.case = _case(**task.payload["case"])
        self._talk = Conversation(self.case, _options(task.payload["max_turns"])).talk(self.case.user())
        self.messages = [dict(message) for message in next(self._talk)]  # the first view: what the policy answers
        self.ended: Trajectory | None = None
        self.problem = ""

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages), self.case.declarations)

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_ids(self.tokenizer, completion)
        if parsed.errors:
            self.problem = str(parsed.errors[0].problem)
            return []
        try:
            view = self._talk.send(parsed.message())
        except StopIteration as end:
            self.ended = end.value
            self.messages = end.value.messages
            return []
        follows = [dict(message) for message in view[len(self.messages) + 1 :]]
        self.messages = [dict(message) for message in view]
        return encode_followup(self.tokenizer, follows)

    def verdict(self) -> Result:
        if self.problem:
            return Result(0.0, Status.SCORED, f"malformed: {self.problem}")
        if self.ended is None:
            return Result(0.0, Status.NO_ANSWER, "cut before the conversation ended")
        judgement = self.ended.verdict
        return Result(float(judgement.kept), Status.SCORED, f"{judgement.verdict}: {judgement.reason}"[:160])

    def answer(self) -> str:
        texts = [str(m.get("content") or "") for m in self.messages if m["role"] == "assistant"]
        return texts[-1] if texts else ""


EPISODES: Mapping[str, type[ToolUse] | type[OneCall]] = {CALLS: OneCall, WORLDS: ToolUse, YOUR_TOOLS: OneCall}
