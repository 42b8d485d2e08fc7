import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.loop.context import ViewPolicy, count_tokens
from agents.loop.loop import InfrastructureError, Message, Options, Stop, assistant, run

ROOT = Path(__file__).parents[3]
START = [{"role": "user", "content": "walk to the end of the chain, it begins at k0"}]
CHAIN = 260


def _call(name: str, arguments: Mapping[str, Any], index: int) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"functions.{name}:{index}", "type": "function", "function": function}


def _turn(*calls: dict[str, Any], reasoning: str = "") -> dict[str, Any]:
    return {"role": "assistant", "content": "", "reasoning_content": reasoning, "tool_calls": list(calls)}


class Walker:
    """Follows a chain of keys: each call needs the key that the last result gave."""

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        last = messages[-1]
        if last["role"] == "user":
            return _turn(_call("open", {"key": "k0"}, 0))
        found = json.loads(str(last["content"]))
        if "end" in found:
            return {"role": "assistant", "content": found["end"]}
        index = sum(len(m.get("tool_calls") or []) for m in messages)
        return _turn(_call("open", {"key": found["next"]}, index))


def chain(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
    at = int(str(arguments["key"])[1:])
    if at == CHAIN:
        return json.dumps({"end": "treasure"}), False
    return json.dumps({"next": f"k{at + 1}", "page": "x" * 300}), False


@pytest.mark.parametrize(
    ("policy", "stop"),
    [(ViewPolicy("hide_all"), Stop.ANSWERED), (ViewPolicy("full"), Stop.CONTEXT_EXHAUSTED)],
)
def test_a_long_chain_of_dependent_calls_needs_hidden_outputs(policy: ViewPolicy, stop: Stop) -> None:
    done = run(Walker(), chain, START, [], Options(context_tokens=8192, policy=policy))
    assert done.stop is stop
    if stop is Stop.ANSWERED:
        assert done.answer == "treasure"
        assert done.steps == CHAIN + 2


def test_limits_have_their_own_names() -> None:
    assert run(Walker(), chain, START, [], Options(max_steps=5)).stop is Stop.STEP_LIMIT
    assert run(Walker(), chain, START, [], Options(max_tokens=50)).stop is Stop.TOKEN_LIMIT


class Stubborn:
    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        return _turn(_call("open", {"key": "k1"}, len(messages)))


def test_an_identical_call_is_not_run_for_ever() -> None:
    ran: list[str] = []

    def counted(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        ran.append(name)
        return "{}", False

    done = run(Stubborn(), counted, START, [], Options(identical_calls=3))
    assert done.stop is Stop.TOOL_FAILURE
    assert len(ran) == 3
    assert "do something else" in str(done.messages[-1]["content"])


def test_errors_in_a_row_end_the_run() -> None:
    class Busy(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            return _turn(_call("open", {"key": f"k{len(messages)}"}, len(messages)))

    done = run(Busy(), lambda name, arguments: ("no", True), START, [], Options(failures=4))
    assert (done.stop, done.steps) == (Stop.TOOL_FAILURE, 4)


def test_only_infrastructure_is_retried() -> None:
    tried: list[int] = []

    def flaky(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        tried.append(1)
        if len(tried) < 3:
            raise InfrastructureError("socket")
        return json.dumps({"end": "ok"}), False

    assert run(Walker(), flaky, START, []).answer == "ok"
    assert len(tried) == 3

    def dead(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        raise InfrastructureError("gone")

    assert run(Walker(), dead, START, []).stop is Stop.INFRASTRUCTURE

    def broken(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        run(Walker(), broken, START, [])


def test_parallel_calls_keep_their_order_and_long_outputs_are_cut() -> None:
    class Two(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            if messages[-1]["role"] == "user":
                return _turn(_call("a", {"n": 1}, 0), _call("b", {"n": 2}, 1))
            return {"role": "assistant", "content": "done"}

    options = Options(output_window={"a": 5, "*": 100})
    done = run(Two(), lambda name, arguments: (name * 50, False), START, [], options)
    first, second = (m for m in done.messages if m["role"] == "tool")
    assert (first["tool_call_id"], first["content"]) == ("functions.a:0", "aaaaa[45 characters cut]")
    assert (second["tool_call_id"], second["content"]) == ("functions.b:1", "b" * 50)


def test_checkpoint_answers_are_collected() -> None:
    asked: list[str] = []

    class Thinker(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            asked.append(str(messages[-1]["content"]))
            text = "hypothesis: it is there\nnext: open\nmet: no\nbacktrack: no"
            return {"role": "assistant", "content": "x", "reasoning_content": text}

    done = run(Thinker(), chain, START, [], Options(checkpoints=True))
    assert "backtrack: yes or no" in asked[0]
    assert done.checkpoints == [{"hypothesis": "it is there", "next": "open", "met": "no", "backtrack": "no"}]
    assert all(m["role"] != "system" for m in done.messages)


KILLED = """
import json, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from agents.loop.loop import Options, run
from tests.agents.loop.test_loop import START, Walker, chain
count = 0
def dying(name, arguments):
    global count
    count += 1
    if count == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return chain(name, arguments)
run(Walker(), dying, START, [], log=Path(sys.argv[2]))
"""


def test_killed_in_a_call_it_goes_on_at_the_same_step(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    died = subprocess.run([sys.executable, "-c", KILLED, str(ROOT), str(log)], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    with log.open("ab") as handle:
        handle.write(b'{"assistant": {"ro')  # and a torn line
    asked: list[int] = []
    replayed: list[str] = []

    class Counted(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            asked.append(1)
            return super().__call__(messages, tools)

    done = run(Counted(), chain, START, [], log=log, replay=lambda name, arguments: replayed.append(arguments["key"]))
    whole = run(Walker(), chain, START, [])
    assert done.messages == whole.messages
    assert replayed == [f"k{k}" for k in range(6)]
    assert len(asked) == whole.steps - 7
    assert run(Counted(), chain, START, [], log=log).messages == whole.messages
    assert os.path.getsize(log) > 0


class Once:
    """Makes the given calls in one message, then answers."""

    def __init__(self, *calls: dict[str, Any]) -> None:
        self.calls = calls

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": "done"}
        return _turn(*self.calls)


def test_a_call_that_worked_is_not_made_again_when_another_ones_machine_fails(tmp_path: Path) -> None:
    ran: list[str] = []
    broken = True

    def tool(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        if name == "b" and broken:
            raise InfrastructureError("gone")
        ran.append(name)
        return "{}", False

    model = Once(_call("a", {}, 0), _call("b", {}, 1))
    assert run(model, tool, START, [], log=tmp_path / "log").stop is Stop.INFRASTRUCTURE
    broken = False
    assert run(model, tool, START, [], log=tmp_path / "log").stop is Stop.ANSWERED
    assert ran == ["a", "b"]


def test_the_guard_counts_within_one_message(tmp_path: Path) -> None:
    ran: list[str] = []

    def tool(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        ran.append(name)
        return "{}", False

    run(Once(*[_call("a", {"n": 1}, k) for k in range(10)]), tool, START, [], Options(identical_calls=3))
    assert len(ran) == 3


def test_a_continued_log_replays_only_what_ran(tmp_path: Path) -> None:
    bad = _call("a", {}, 0)
    bad["function"]["arguments"] = "{not json"
    model = Once(bad, *[_call("b", {"n": 1}, k) for k in range(1, 6)])
    first = run(model, lambda name, arguments: ("{}", False), START, [], log=tmp_path / "log")
    replayed: list[str] = []
    again = run(
        model,
        lambda name, arguments: ("{}", False),
        START,
        [],
        log=tmp_path / "log",
        replay=lambda name, arguments: replayed.append(name),
    )
    assert again.messages == first.messages
    assert replayed == ["b"] * 3


def test_the_checkpoint_question_counts_against_the_window() -> None:
    sizes: list[int] = []

    class Reader(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            sizes.append(sum(map(count_tokens, messages)))
            return super().__call__(messages[:-1], tools)

    done = run(Reader(), chain, START, [], Options(context_tokens=400, checkpoints=True))
    assert done.stop is Stop.CONTEXT_EXHAUSTED
    assert max(sizes) <= 400


@pytest.mark.parametrize("arguments", ["9" * 4301, "[" * 20_000, '{"a":' * 1_000, '{"a": NaN}', "[]", "{", "1"])
def test_unusable_arguments_are_told_to_the_model_and_end_nothing(arguments: str, tmp_path: Path) -> None:
    def model(messages: Sequence[Message], tools: Sequence[Any]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": "done"}
        return assistant("", "", [{"function": {"name": "f", "arguments": arguments}}], 0)

    done = run(model, lambda name, given: ("ran", False), START, [], log=tmp_path / "log.jsonl")
    assert done.stop is Stop.ANSWERED and done.messages[-2]["content"].startswith('{"error": "not run: ')
    again = run(model, lambda name, given: ("ran", False), START, [], log=tmp_path / "log.jsonl")
    assert again.messages == done.messages


@pytest.mark.parametrize("arguments", ["", "  ", "null", None, {}, "{}"])
def test_no_arguments_are_those_of_a_tool_without_parameters(arguments: Any) -> None:
    seen: list[Any] = []

    def model(messages: Sequence[Message], tools: Sequence[Any]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": "done"}
        return assistant("", "", [{"function": {"name": "f", "arguments": arguments}}], 0)

    done = run(model, lambda name, given: (str(seen.append(given)), False), START, [])
    assert done.stop is Stop.ANSWERED and seen == [{}]
    assert done.messages[-3]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_half_a_surrogate_pair_from_a_tool_a_model_or_a_file_is_a_replacement_character(tmp_path: Path) -> None:
    half = chr(0xDC80)

    def model(messages: Sequence[Message], tools: Sequence[Any]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": f"done {half}"}
        return assistant(half, half, [{"function": {"name": "f", "arguments": json.dumps({"a": half})}}], 0)

    log = tmp_path / "log.jsonl"
    start = [{"role": "user", "content": f"go {half}"}]
    done = run(model, lambda name, given: (f"{given['a']} {half}", False), start, [], log=log)
    json.dumps(done.messages, ensure_ascii=False).encode()
    assert done.answer == "done \ufffd" and done.messages[2]["content"] == "\ufffd \ufffd"
    assert run(model, lambda name, given: ("", False), start, [], log=log).messages == done.messages
