import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.loop.context import RULES, ContextPolicy, ContextWindow, count_tokens
from agents.loop.loop import InfrastructureError, Message, Options, Stop, assistant, run, view_tokens

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
        if last["role"] != "tool":
            return _turn(_call("open", {"key": "k0"}, 0))
        found = json.loads(str(last["content"]))
        if "end" in found:
            return {"role": "assistant", "content": found["end"]}
        return _turn(_call("open", {"key": found["next"]}, 0))


def chain(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
    at = int(str(arguments["key"])[1:])
    if at == CHAIN:
        return json.dumps({"end": "treasure"}), False
    return json.dumps({"next": f"k{at + 1}", "page": "x" * 300}), False


class Recorder(Walker):
    """Keeps every view, by how many messages the model had written before."""

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps
        self.views: dict[int, list[Message]] = {}

    def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
        self.views[self.steps] = list(messages)
        self.steps += 1
        return super().__call__(messages, tools)

    def changes(self) -> int:
        """How many views are not the one before with messages added."""
        views = list(self.views.values())
        return sum(later[: len(view)] != view for view, later in zip(views, views[1:]))


def views_of_log(log: Path, policy: ContextPolicy, budget: int) -> dict[int, list[Message]]:
    """The views of a run by its log alone, each one by a new window."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    history = [*START, *(record.get("assistant") or record["result"] for record in records)]
    asked = [k for k, message in enumerate(history) if message["role"] == "assistant"]
    return {step: ContextWindow(policy, budget).view(history[:k]) for step, k in enumerate(asked)}


@pytest.mark.parametrize(
    ("policy", "in_8192", "in_12288"),
    [
        ("keep_all", Stop.CONTEXT_EXHAUSTED, Stop.CONTEXT_EXHAUSTED),
        ("hide_on_overflow", Stop.CONTEXT_EXHAUSTED, Stop.ANSWERED),  # 260 calls and placeholders are 11,700 tokens
        ("hide_all_but_last", Stop.CONTEXT_EXHAUSTED, Stop.ANSWERED),
        ("discard_all", Stop.STEP_LIMIT, Stop.STEP_LIMIT),  # it begins again at k0
        ("summarise", Stop.ANSWERED, Stop.ANSWERED),
    ],
)
def test_a_long_chain_of_dependent_calls_ends_as_its_context_policy_lets_it_and_its_log_gives_every_view(
    policy: ContextPolicy, in_8192: Stop, in_12288: Stop, tmp_path: Path
) -> None:
    for context_tokens, stop in ((8192, in_8192), (12288, in_12288)):
        model, log = Recorder(), tmp_path / f"{context_tokens}.jsonl"
        options = Options(context_tokens=context_tokens, context_policy=policy)
        done = run(model, chain, START, [], options, log=log)
        assert done.stop is stop
        if stop is Stop.ANSWERED:
            assert (done.answer, done.steps) == ("treasure", CHAIN + 2)
        assert model.views == views_of_log(log, policy, context_tokens)
        assert len(model.views) == done.steps


def test_the_beginning_of_a_view_changes_once_per_overflow_not_at_each_step() -> None:
    changes: dict[ContextPolicy, int] = {}
    for policy in RULES:
        model = Recorder()
        run(model, chain, START, [], Options(context_tokens=12288, context_policy=policy, max_steps=200))
        changes[policy] = model.changes()
    assert changes == {"keep_all": 0, "hide_on_overflow": 3, "hide_all_but_last": 198, "discard_all": 2, "summarise": 2}


def test_call_ids_count_over_the_whole_history_where_the_model_sees_a_part_of_it() -> None:
    for policy in RULES:
        done = run(Walker(), chain, START, [], Options(context_tokens=4096, context_policy=policy, max_steps=100))
        ids = [call["id"] for message in done.messages for call in message.get("tool_calls") or []]
        assert ids == [f"functions.open:{k}" for k in range(len(ids))]
        assert [m["tool_call_id"] for m in done.messages if m["role"] == "tool"] in (ids, ids[:-1])


def test_declared_tools_and_the_checkpoint_question_take_their_room_of_the_window() -> None:
    tools = [{"type": "function", "function": {"name": "open", "description": "d" * 3000, "parameters": {}}}]
    assert view_tokens(Options(context_tokens=2000), []) == 2000
    left = view_tokens(Options(context_tokens=2000, checkpoints=True), tools)
    assert 800 < left < 1000
    sizes: list[int] = []

    class Reader(Walker):
        def __call__(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Message:
            sizes.append(sum(map(count_tokens, messages[:-1])))
            return super().__call__(messages[:-1], tools)

    run(Reader(), chain, START, tools, Options(context_tokens=2000, checkpoints=True))
    assert left - 200 < max(sizes) <= left


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
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return chain(name, arguments)
options = Options(context_tokens=int(sys.argv[4]), context_policy=sys.argv[5])
run(Walker(), dying, START, [], options, log=Path(sys.argv[2]))
"""


def _killed(log: Path, call: int, options: Options) -> None:
    """Runs the chain in another process, which dies in this call."""
    words = [str(ROOT), str(log), str(call), str(options.context_tokens), options.context_policy]
    died = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL


@pytest.mark.parametrize("policy", list(RULES))
def test_a_run_killed_after_its_window_was_full_shows_what_it_would_have_shown(
    policy: ContextPolicy, tmp_path: Path
) -> None:
    options = Options(context_tokens=4096, context_policy=policy, max_steps=60)
    call = 20 if policy == "keep_all" else 50
    whole, log = Recorder(), tmp_path / "log.jsonl"
    done = run(whole, chain, START, [], options)
    assert whole.changes() or policy == "keep_all"
    _killed(log, call, options)
    rest = Recorder(steps=call)
    assert run(rest, chain, START, [], options, log=log).messages == done.messages
    assert rest.views == {step: view for step, view in whole.views.items() if step >= call}
    assert views_of_log(log, policy, options.context_tokens) == whole.views


def test_killed_in_a_call_it_goes_on_at_the_same_step(tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    _killed(log, 7, Options())
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

    options = Options(context_tokens=400, context_policy="keep_all", checkpoints=True)
    done = run(Reader(), chain, START, [], options)
    assert done.stop is Stop.CONTEXT_EXHAUSTED
    assert max(sizes) <= 400


@pytest.mark.parametrize("arguments", ["9" * 4301, "[" * 20_000, '{"a":' * 1_000, '{"a": NaN}', "[]", "{", "1"])
def test_unusable_arguments_are_told_to_the_model_and_end_nothing(arguments: str, tmp_path: Path) -> None:
    def model(messages: Sequence[Message], tools: Sequence[Any]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": "done"}
        return assistant("", "", [{"function": {"name": "f", "arguments": arguments}}])

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
        return assistant("", "", [{"function": {"name": "f", "arguments": arguments}}])

    done = run(model, lambda name, given: (str(seen.append(given)), False), START, [])
    assert done.stop is Stop.ANSWERED and seen == [{}]
    assert done.messages[-3]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_half_a_surrogate_pair_from_a_tool_a_model_or_a_file_is_a_replacement_character(tmp_path: Path) -> None:
    half = chr(0xDC80)

    def model(messages: Sequence[Message], tools: Sequence[Any]) -> Message:
        if messages[-1]["role"] == "tool":
            return {"role": "assistant", "content": f"done {half}"}
        return assistant(half, half, [{"function": {"name": "f", "arguments": json.dumps({"a": half})}}])

    log = tmp_path / "log.jsonl"
    start = [{"role": "user", "content": f"go {half}"}]
    done = run(model, lambda name, given: (f"{given['a']} {half}", False), start, [], log=log)
    json.dumps(done.messages, ensure_ascii=False).encode()
    assert done.answer == "done \ufffd" and done.messages[2]["content"] == "\ufffd \ufffd"
    assert run(model, lambda name, given: ("", False), start, [], log=log).messages == done.messages
