"""Conversations with real MCP servers: what the server returned, the same on every run, kept only if it replays."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest

from agents.servers.conversation import ServerConversation, ServerConversations
from agents.servers.scene import Scene
from agents.servers.spec import HELD, specs
from agents.tools.harvest import McpToolbox
from gym.sandbox import SandboxError
from k2model.chat.messages import render
from tests.conftest import ROOT, checkout_env

COUNT = 24
AGAIN = """
import json
from agents.servers.conversation import ServerConversations
with ServerConversations(base=7) as conversations:
    print(json.dumps([conversations.make(number).messages for number in (3, 1)]))
"""


@pytest.fixture(scope="module")
def opened() -> Iterator[ServerConversations]:
    conversations = ServerConversations(base=7)
    try:
        conversations.__enter__()
    except SandboxError as error:
        pytest.skip(str(error))
    yield conversations
    conversations.__exit__(None, None, None)


@pytest.fixture(scope="module")
def made(opened: ServerConversations) -> list[ServerConversation]:
    return [one for one in map(opened.make, range(COUNT)) if one is not None]


def calls_of(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


def test_nearly_all_are_kept_and_every_call_is_valid_under_its_declaration(made: list[ServerConversation]) -> None:
    assert len(made) >= 0.95 * COUNT
    for one in made:
        declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in one.tools}
        assert len(declared) == len(one.tools)
        assert [call for message in one.messages for call in calls_of(message)] == one.gold
        for name, arguments in one.gold:
            jsonschema.validate(arguments, declared[name])
        ids = [call["id"] for message in one.messages for call in message.get("tool_calls") or ()]
        assert ids == [f"functions.{name}:{number}" for number, (name, _) in enumerate(one.gold)]
        assert ids == [message["tool_call_id"] for message in one.messages if message["role"] == "tool"]
        render(one.messages, one.tools)


def test_five_servers_are_used_and_the_kept_one_is_not(made: list[ServerConversation]) -> None:
    assert {one.server for one in made} == set(specs()) - {HELD}
    assert len(specs()) >= 6
    assert sum(one.dependent >= 2 for one in made) / len(made) > 0.3
    assert any(one.errors for one in made)
    assert any("no_tool" in one.kinds for one in made)


def test_results_are_what_the_server_returns_outside_the_sandbox(tmp_path: Path) -> None:
    """The server of files, started by the SDK on a folder with the same files."""
    spec = specs()["files"]
    with ServerConversations(["files"], base=11) as conversations:
        for number in range(4):
            one = conversations.make(number)
            assert one is not None
            rng = Random(f"11|{number}|servers")
            rng.choices(["files"], [spec.weight])
            root = tmp_path / str(number)
            for path, text in Scene(spec, rng).files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            told = [message["content"] for message in one.messages if message["role"] == "tool"]
            with McpToolbox(["env", f"FSGUARD_ROOT={root}", sys.executable, "-m", spec.module]) as toolbox:
                assert [toolbox(name, arguments)[0] for name, arguments in one.gold] == told


def test_values_called_dependent_come_from_earlier_results(made: list[ServerConversation]) -> None:
    checked = 0
    for one in (one for one in made if one.dependent and one.server == "knowledge"):
        asked, results, held = "", "", 0
        for message in one.messages:
            if message["role"] in ("user", "system"):
                asked += message["content"]
            elif message["role"] == "tool":
                results += message["content"]
            for _, arguments in calls_of(message):
                values = [str(part) for value in arguments.values() for part in _leaves(value)]
                held += any(value in results and value not in asked for value in values)
        checked += 1
        assert held >= 1
    assert checked >= 2


def _leaves(value: Any) -> list[Any]:
    return [leaf for part in value for leaf in _leaves(part)] if isinstance(value, list) else [value]


def test_another_process_in_another_order_makes_the_same_bytes(made: list[ServerConversation]) -> None:
    env = checkout_env() | {"PYTHONHASHSEED": "5"}
    result = subprocess.run(
        [sys.executable, "-c", AGAIN], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    by_seed = {one.seed: one.messages for one in made}
    assert json.loads(result.stdout) == [by_seed[7 + 3], by_seed[7 + 1]]


def test_nothing_of_this_machine_is_in_the_data(made: list[ServerConversation]) -> None:
    text = json.dumps([[one.messages, one.tools] for one in made])
    for part in ("/dev/shm", "sandbox-", "site-packages", sys.prefix):
        assert part not in text


def test_a_conversation_whose_replay_differs_is_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on between the two runs, so the server of times gives other results."""
    with ServerConversations(["time"], base=0) as conversations:
        plan = conversations._plan

        def later(spec: Any, scene: Scene, **more: Any) -> dict[str, Any]:
            return plan(spec, scene, **more) | ({"now": scene.now + 86400} if "replay" in more else {})

        monkeypatch.setattr(conversations, "_plan", later)
        assert [conversations.make(number) for number in range(4)] == [None] * 4
        assert conversations.lost == {"time: other results when replayed": 4}


def test_a_server_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = specs()["time"].model_copy(update={"module": "no_such_module"})
    conversations = ServerConversations(["time"], base=0)
    conversations.specs["time"] = broken
    with pytest.raises(SandboxError, match="MCP server time"):
        conversations.__enter__()
