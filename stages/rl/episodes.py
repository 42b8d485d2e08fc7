"""The episodes of RL: one answer to a question, or a conversation with a user and tools in a simulated world."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from agents.conversations.drafting import EASY, make_task
from agents.conversations.judge import judge
from agents.conversations.simulator import Simulator
from agents.conversations.tasks import Application
from agents.conversations.users import Script, script
from agents.loop import loop
from gym.tasksets.task import Task, TaskSet
from gym.verifiers.result import Result, Status
from k2model.chat.messages import call_id, encode_followup, encode_prompt, next_call_index
from k2model.chat.parse import Parsed
from k2model.chat.tokenizer import K2Tokenizer
from k2model.chat.turn import parse_ids


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


TOOLS = "tools"
TOOL_BUDGET = 160
PERSONAS = ("plain", "polite", "terse", "hesitant", "mind_changer")
OPTIONS = loop.Options(max_steps=6, failures=3, parallel=1)  # policy `full`: a rollout's tokens are only ever appended


def tool_tasks(apps: Sequence[Application], n: int, seed: int) -> list[Task]:
    """Easy tool-use tasks as gym tasks; the payload names the application, the persona and the seed that make it all.

    What the user says after the first turn is the script's, so the candidate sees one message.
    """
    tasks = []
    for number in range(n):
        app, task_seed = apps[(seed + number) % len(apps)], seed + number
        payload = {"application": app.name, "seed": task_seed, "persona": PERSONAS[task_seed % len(PERSONAS)]}
        user_script = _script(app, payload)
        tasks.append(
            Task(
                id=user_script.task.id,
                taskset=TOOLS,
                seed=task_seed,
                difficulty=0.0,
                domain=user_script.task.domain,
                messages=(
                    {"role": "system", "content": "Use the tools."},
                    {"role": "user", "content": user_script.turns[0]},
                ),
                token_budget=TOOL_BUDGET * len(user_script.turns),
                payload=payload,
                tools=tuple(user_script.task.tools),
            )
        )
    return tasks


def _script(app: Application, payload: Mapping[str, Any]) -> Script:
    task = make_task(app, payload["seed"], 1, forms=EASY, distractors=1)
    return script(app, task, payload["persona"], payload["seed"])


class ToolUse:
    """The agent loop with a simulated user in a simulated world; success is judged on the final state.

    A broken or cut turn ends the conversation, and so does the loop's guard against repeated and failing calls.
    """

    def __init__(self, tokenizer: K2Tokenizer, apps: Sequence[Application], task: Task) -> None:
        self.tokenizer, self.task = tokenizer, task
        self.app = next(app for app in apps if app.name == task.payload["application"])
        self.script = _script(self.app, task.payload)
        self.world = self.app.world(self.script.task)
        tools = [self.app.tools[name] for name in self.script.task.tools]
        self.simulator = Simulator(tools, self.world, task.payload["seed"])
        self.declared = [tool.declaration() for tool in tools]
        self.messages: list[dict[str, Any]] = [dict(message) for message in task.messages]
        self.turn, self.stop = 0, ""
        self.problem = ""
        self._asking = self._begin()

    def _begin(self) -> Generator[list[loop.Message], loop.Message, loop.Run]:
        asking = loop.steps(self._call, self.messages, OPTIONS)
        next(asking)  # the first view: what the policy's next turn follows
        return asking

    def _call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        reply = self.simulator.call(name, arguments)
        return reply.text, reply.error

    def prompt(self) -> list[int]:
        return encode_prompt(self.tokenizer, list(self.task.messages), self.declared)

    def reply(self, completion: Sequence[int]) -> list[int]:
        parsed = parse_ids(self.tokenizer, completion)
        if parsed.errors:
            self.problem = str(parsed.errors[0].problem)
            return []
        try:
            view = self._asking.send(self._message(parsed))
        except StopIteration as end:
            return self._next_turn(end.value)
        follows = [dict(message) for message in view[len(self.messages) + 1 :]]
        self.messages = [dict(message) for message in view]
        return encode_followup(self.tokenizer, follows)

    def _message(self, parsed: Parsed) -> dict[str, Any]:
        """With ids that count over the dialog, whatever the policy wrote: two calls never share a result."""
        message: dict[str, Any] = parsed.message()
        first = next_call_index(self.messages)
        for index, call in enumerate(message.get("tool_calls", [])):
            call["id"] = call_id(call["function"]["name"], first + index)
        return message

    def _next_turn(self, run: loop.Run) -> list[int]:
        """The user's next words after an answer; nothing when the conversation is over."""
        self.messages, self.turn = run.messages, self.turn + 1
        if run.stop is not loop.Stop.ANSWERED or self.turn == len(self.script.turns):
            self.stop = run.stop.value
            return []
        message = {"role": "user", "content": self.script.turns[self.turn]}
        self.messages = [*self.messages, message]
        self._asking = self._begin()
        return encode_followup(self.tokenizer, [message])

    def verdict(self) -> Result:
        if self.problem:
            return Result(0.0, Status.SCORED, f"malformed: {self.problem}")
        if not self.stop:
            return Result(0.0, Status.NO_ANSWER, "cut before the conversation ended")
        judgement = judge(self.app, self.script.task, self.world, self.messages, self.stop)
        return Result(float(judgement.kept), Status.SCORED, f"{judgement.verdict}: {judgement.reason}"[:160])

    def answer(self) -> str:
        texts = [str(m.get("content") or "") for m in self.messages if m["role"] == "assistant"]
        return texts[-1] if texts else ""
