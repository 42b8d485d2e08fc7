"""The think–act loop: interleaved reasoning and tool calls, for hundreds of steps, saved at each.

A step asks the model with a view of the history, runs the calls it makes (in parallel when there are several), and
appends both to the log. A killed run goes on at the same step: what the model said and what tools returned is read
from the log and not asked again.

`run` asks a model; `steps` is the same loop turned inside out, for callers that sample many conversations at once.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TextIO

from agents.loop.context import DEFAULT, ContextExhausted, ContextPolicy, ContextWindow, Count, count_tokens
from gym.sandbox import SandboxError
from k2model.chat.messages import call_id, next_call_index
from k2model.chat.model_json import ModelJsonError, loads_arguments, well_formed

Message = Mapping[str, Any]


class Stop(StrEnum):
    """Why a run ended."""

    ANSWERED = "answered"
    STEP_LIMIT = "step_limit"
    TOKEN_LIMIT = "token_limit"
    CONTEXT_EXHAUSTED = "context_exhausted"
    TOOL_FAILURE = "tool_failure"
    REFUSED = "refused"
    INFRASTRUCTURE = "infrastructure"


class InfrastructureError(Exception):
    """The model or a tool's machine could not be reached; the one kind of failure that is retried."""


class Truncated(Exception):
    """The model's turn was cut at its limit of tokens; the run ends with `token_limit`."""


class Refused(Exception):
    """Whoever serves the model refused this turn, such as a content filter; the run ends with `refused`."""


UNREACHABLE = (InfrastructureError, SandboxError)


class Model(Protocol):
    """An assistant message (OpenAI shape) for a view of the history; the loop numbers its calls."""

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message: ...


class Toolbox(Protocol):
    """Runs a call; gives its text and whether it is an error of the caller. May be called from several threads."""

    def __call__(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]: ...


def assistant(text: str, reasoning: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A server's answer as a message; its calls are numbered from 0, whatever the server called them.

    No arguments are written `{}`.
    """
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = [_call(call["function"], index) for index, call in enumerate(calls)]
    return message


def _call(function: Mapping[str, Any], index: int) -> dict[str, Any]:
    name, arguments = str(function["name"]), function["arguments"]
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    text = "{}" if text.strip() in ("", "null") else text
    return {"id": call_id(name, index), "type": "function", "function": {"name": name, "arguments": text}}


CHECKPOINT = (
    "Before you act, write four lines in your reasoning. hypothesis: what you believe now. next: the tool you will "
    "use. met: yes or no, is the subgoal met. backtrack: yes or no, must you go back."
)
_CHECKPOINT_TURN: Message = {"role": "system", "content": CHECKPOINT}
_ANSWER = re.compile(r"^(hypothesis|next|met|backtrack):\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Options:
    """Limits of a run.

    context_tokens: of a request without its answer: what tools are declared, and the view of the history that
    `context_policy` makes (see `agents/loop/context.py`).
    identical_calls: the same call this often in a row is no longer run; twice as often ends the run.
    failures: errors in a row that end the run. output_window: characters of a tool's output that are kept, by tool
    name, `*` for the others.
    """

    max_steps: int = 300
    max_tokens: int = 10**9
    context_tokens: int = 128_000
    context_policy: ContextPolicy = DEFAULT
    retries: int = 3
    identical_calls: int = 3
    failures: int = 12
    output_window: Mapping[str, int] = field(default_factory=lambda: {"*": 20_000})
    checkpoints: bool = False
    parallel: int = 8


@dataclass
class Run:
    """The whole history and how it ended. `checkpoints` are the four answers of each step that gave them."""

    messages: list[dict[str, Any]]
    stop: Stop
    steps: int
    tokens: int
    detail: str = ""
    checkpoints: list[dict[str, str]] = field(default_factory=list)

    @property
    def answer(self) -> str:
        last = self.messages[-1]
        return str(last.get("content") or "") if self.stop is Stop.ANSWERED else ""


class _Log:
    """Append-only JSONL: a line for an assistant's message, a line for each result."""

    def __init__(self, path: Path | None) -> None:
        self.handle: TextIO | None = None
        self.past: list[dict[str, Any]] = []
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = 0
        if path.exists():
            for line in path.read_bytes().split(b"\n")[:-1]:  # the last one is empty, or torn by a kill
                self.past.append(json.loads(line))
                whole += len(line) + 1
            with path.open("r+b") as torn:
                torn.truncate(whole)
        self.handle = path.open("a", encoding="utf-8")

    def add(self, record: Mapping[str, Any]) -> None:
        if self.handle is not None:
            self.handle.write(json.dumps(record, ensure_ascii=False) + "\n")
            self.handle.flush()

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()


def run(
    model: Model,
    toolbox: Toolbox,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    options: Options | None = None,
    *,
    log: Path | None = None,
    replay: Callable[[str, Mapping[str, Any]], object] | None = None,
    count: Count = count_tokens,
) -> Run:
    """Runs to an answer or a limit.

    Args:
        log: where each step is saved; a log that exists is continued.
        replay: called with every past call of a continued log, for tools whose state lives in this process.
    """
    options = options or Options()
    asking = steps(toolbox, messages, options, tools=tools, log=log, replay=replay, count=count)
    try:
        shown = next(asking)
        while True:
            try:
                message = _retried(lambda shown=shown: model(shown, tools), options.retries)  # type: ignore[misc]
            except (InfrastructureError, Truncated, Refused) as error:
                shown = asking.throw(error)
            else:
                shown = asking.send(message)
    except StopIteration as end:
        result: Run = end.value
        return result
    finally:
        asking.close()


def steps(
    toolbox: Toolbox,
    messages: Sequence[Message],
    options: Options,
    *,
    tools: Sequence[Mapping[str, Any]] = (),
    log: Path | None = None,
    replay: Callable[[str, Mapping[str, Any]], object] | None = None,
    count: Count = count_tokens,
) -> Generator[list[Message], Message, Run]:
    """Yields each view of the history, takes the assistant's message for it, returns the finished `Run`.

    An InfrastructureError, Truncated, Refused or ContextExhausted thrown in ends the run. Arguments as in `run`.

    Args:
        tools: what is declared in every request; they take their room of the window.
    """
    loop = _Loop(toolbox, messages, tools, options, _Log(log), replay, count)
    try:
        return (yield from loop.steps())
    finally:
        loop.log.close()


def view_tokens(options: Options, tools: Sequence[Mapping[str, Any]], count: Count = count_tokens) -> int:
    """What a view may have: the window without the declared tools and the checkpoint question."""
    declared = count({"role": "system", "content": json.dumps(list(tools), ensure_ascii=False)}) if tools else 0
    return options.context_tokens - declared - (count(_CHECKPOINT_TURN) if options.checkpoints else 0)


def _retried(action: Callable[[], Any], retries: int) -> Any:
    for attempt in range(retries + 1):
        try:
            return action()
        except UNREACHABLE:
            if attempt == retries:
                raise
    raise AssertionError("unreachable")


NOT_RUN = '{"error": "not run: '


def _refused(text: str) -> str:
    """The result of a call that never reached its tool."""
    return json.dumps({"error": f"not run: {text}"})


class _Loop:
    def __init__(
        self,
        toolbox: Toolbox,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        options: Options,
        log: _Log,
        replay: Callable[[str, Mapping[str, Any]], object] | None,
        count: Count,
    ) -> None:
        self.toolbox, self.options, self.log = toolbox, options, log
        self.count = count
        self.window = ContextWindow(options.context_policy, view_tokens(options, tools, count), count)
        self.result = Run([well_formed(message) for message in messages], Stop.STEP_LIMIT, 0, 0)
        self.next_call = next_call_index(self.result.messages)
        self.repeated, self.last_call = 0, ""
        self.failures = 0
        for record in log.past:
            self._remember(record, replay)

    def _remember(self, record: dict[str, Any], replay: Callable[[str, Mapping[str, Any]], object] | None) -> None:
        if "assistant" in record:
            self._said(record["assistant"])
            return
        message = record["result"]
        call = next(c for c in self._calls() if c["id"] == message["tool_call_id"])
        if replay is not None and not str(message["content"]).startswith(NOT_RUN):
            replay(call["function"]["name"], loads_arguments(call["function"]["arguments"]))
        self._take(call, message, record["error"])

    def _calls(self) -> Sequence[Mapping[str, Any]]:
        """The calls of the newest assistant message."""
        newest = next(m for m in reversed(self.result.messages) if m["role"] == "assistant")
        calls: Sequence[Mapping[str, Any]] = newest["tool_calls"]
        return calls

    def _take(self, call: Mapping[str, Any], message: dict[str, Any], error: bool) -> None:
        self._note_call(call)
        self.failures = self.failures + 1 if error else 0
        self.result.messages.append(message)

    def _said(self, message: dict[str, Any]) -> None:
        self.result.steps += 1
        self.result.tokens += self.count(message)
        self.result.messages.append(message)
        self.next_call += len(message.get("tool_calls") or [])
        answers = dict(_ANSWER.findall(str(message.get("reasoning_content") or "")))
        if len(answers) == 4:
            self.result.checkpoints.append(answers)

    def _numbered(self, message: dict[str, Any]) -> dict[str, Any]:
        """With ids that count over the whole history, of which a view may lack calls."""
        if message.get("tool_calls"):
            message["tool_calls"] = [
                dict(call) | {"id": call_id(call["function"]["name"], self.next_call + offset)}
                for offset, call in enumerate(message["tool_calls"])
            ]
        return message

    def _end(self, stop: Stop, detail: str = "") -> Run:
        self.result.stop, self.result.detail = stop, detail
        return self.result

    def _open(self) -> bool:
        """Whether the newest assistant message has calls without results."""
        for results, message in enumerate(reversed(self.result.messages)):
            if message["role"] == "assistant":
                return len(message.get("tool_calls") or []) > results
            if message["role"] != "tool":
                break
        return False

    def steps(self) -> Generator[list[Message], Message, Run]:
        options = self.options
        while True:
            last = self.result.messages[-1]
            if last["role"] == "assistant" and not last.get("tool_calls"):
                return self._end(Stop.ANSWERED)
            if self._open():
                try:
                    self._act(self._calls())
                except UNREACHABLE as error:
                    return self._end(Stop.INFRASTRUCTURE, str(error))
                if self.failures >= options.failures:
                    return self._end(Stop.TOOL_FAILURE, f"{self.failures} errors in a row")
                if self.repeated >= 2 * options.identical_calls:
                    return self._end(Stop.TOOL_FAILURE, f"the same call {self.repeated} times in a row")
            if self.result.steps >= options.max_steps:
                return self._end(Stop.STEP_LIMIT, f"{options.max_steps} steps")
            if self.result.tokens >= options.max_tokens:
                return self._end(Stop.TOKEN_LIMIT, f"{options.max_tokens} tokens")
            try:
                shown = self.window.view(self.result.messages)
                if options.checkpoints:
                    shown.append(_CHECKPOINT_TURN)
                message = self._numbered(well_formed(dict((yield shown))))
            except ContextExhausted as error:
                return self._end(Stop.CONTEXT_EXHAUSTED, str(error))
            except InfrastructureError as error:
                return self._end(Stop.INFRASTRUCTURE, str(error))
            except Truncated as error:
                return self._end(Stop.TOKEN_LIMIT, str(error))
            except Refused as error:
                return self._end(Stop.REFUSED, str(error))
            self.log.add({"assistant": message})
            self._said(message)

    def _act(self, calls: Sequence[Mapping[str, Any]]) -> None:
        """Runs the calls of one message that have no result yet; results keep their order.

        Each result is logged as soon as all before it are there, so a call that worked is not made again when a
        later one's machine fails.
        """
        answered = {m["tool_call_id"] for m in self.result.messages if m["role"] == "tool"}
        open_calls = [call for call in calls if call["id"] not in answered]
        last, repeated = self.last_call, self.repeated
        refused = []
        for call in open_calls:
            refused.append(self._key(call) == last and repeated >= self.options.identical_calls)
            last, repeated = self._key(call), repeated + 1 if self._key(call) == last else 1
        with ThreadPoolExecutor(max(1, min(len(open_calls), self.options.parallel))) as pool:
            running = (
                [pool.submit(self._one, call, no) for call, no in zip(open_calls, refused, strict=True)]
                if len(open_calls) > 1 and self.options.parallel > 1
                else None
            )
            for index, call in enumerate(open_calls):
                text, error = self._one(call, refused[index]) if running is None else running[index].result()
                message = {"role": "tool", "tool_call_id": call["id"], "content": text}
                self.log.add({"result": message, "error": error})
                self._take(call, message, error)

    def _key(self, call: Mapping[str, Any]) -> str:
        return f"{call['function']['name']} {call['function']['arguments']}"

    def _note_call(self, call: Mapping[str, Any]) -> None:
        key = self._key(call)
        self.repeated = self.repeated + 1 if key == self.last_call else 1
        self.last_call = key

    def _one(self, call: Mapping[str, Any], refused: bool) -> tuple[str, bool]:
        name = call["function"]["name"]
        if refused:
            return _refused("this call was made too often in a row; do something else"), True
        try:
            arguments = loads_arguments(call["function"]["arguments"])
        except ModelJsonError as error:
            return _refused(f"the arguments: {error}"), True
        text, failed = _retried(lambda: self.toolbox(name, arguments), self.options.retries)
        text = well_formed(text)
        window = self.options.output_window.get(name, self.options.output_window.get("*", 20_000))
        if len(text) > window:
            text = f"{text[:window]}[{len(text) - window} characters cut]"
        return text, failed
