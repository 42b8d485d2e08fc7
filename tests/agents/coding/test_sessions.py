"""Coding sessions on a made-up package: judged by hidden tests, replayed, and open to any model."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agents.chat.open import open_client
from agents.chat.protocol import ChatClient, ChatRefusal, ChatResponse
from agents.coding.sessions import Case, CodingSessions, CodingTrajectory, act
from agents.conversations.llm_agent import Acting
from agents.loop import loop
from bench.mock_endpoint import Action, MockEndpoint
from gym.repositories.solving import working_copy
from gym.repositories.task import RepairTask
from k2model.chat.messages import render
from tests.agents.coding.conftest import agent
from tests.answering import Answering

ACTING = Acting(max_tokens=200, temperature=0.0, context_tokens=8000, max_steps=9)


def test_a_session_ends_in_a_repair_and_replays(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    for seed, task in enumerate(tasks):
        done = coding.solve(task, agent(), seed)
        assert done.verdict.kept, (task.id, done.verdict, done.messages[-1])
        assert (
            done.patch.startswith(f"diff --git a/{task.edits[0].path}")
            or "repro" in done.patch
            or "issue" in done.patch
        )
        render(done.messages, done.tools)
        outputs = [message["content"] for message in done.messages if message["role"] == "tool"]
        assert coding.replay(task, done.messages) == (done.state_hash, outputs)


def test_equal_arguments_give_equal_sessions(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    first, second = (coding.solve(tasks[0], agent(slip=0.3), 5) for _ in range(2))
    assert first == second


def test_two_bugs_are_both_repaired(coding: CodingSessions, pair: RepairTask) -> None:
    done = coding.solve(pair, agent(), 1)
    assert done.verdict.kept, (done.verdict, done.messages[-1])
    assert "half = twice / 2" in done.messages[-1]["content"] and "endswith" in done.messages[-1]["content"]


def test_what_the_solver_sees_holds_no_hidden_test(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    copy = working_copy(coding.project, tasks[0], coding.box)
    text = copy.files["tests/test_plane.py"].decode()
    assert "def test_perimeter()" in text and "def test_area()" not in text
    assert "following != point" in copy.files["shapes/plane.py"].decode()


def answered(text: str) -> loop.Run:
    return loop.Run([{"role": "assistant", "content": text}], loop.Stop.ANSWERED, 1, 1)


def test_the_verdict_weighs_files_and_words(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    task = tasks[0]
    broken = working_copy(coding.project, task, coding.box).files
    good = broken | {"shapes/plane.py": coding.project.files["shapes/plane.py"]}
    cases = {
        "success": (good, answered("Fixed: the comparison was reversed, so edges could not be found.")),
        "false_report": (broken | {"shapes/plane.py": broken["shapes/plane.py"] + b"\n# x\n"}, answered("Fixed.")),
        "not_changed": (broken, answered("I could not find the cause.")),
        "no_answer": (good, loop.Run([], loop.Stop.STEP_LIMIT, 9, 1)),
    }
    for wanted, (files, run) in cases.items():
        judged = coding.verdict(task, files, run)
        assert (judged.verdict, judged.kept) == (wanted, wanted == "success"), judged
    assert coding.verdict(task, good, answered("It still fails.")).verdict == "false_report"
    tried = broken | {"shapes/plane.py": broken["shapes/plane.py"].replace(b"twice / 2", b"twice / 3")}
    assert coding.verdict(task, tried, answered("I was unable to repair it.")).verdict == "tests_fail"


def test_changed_tests_repair_nothing(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    files = working_copy(coding.project, tasks[0], coding.box).files | {
        "tests/test_plane.py": b"",
        "conftest.py": b"raise SystemExit(0)",
    }
    assert coding.verdict(tasks[0], files, answered("Repaired.")).verdict == "false_report"


# ---- a model in the programmer's place ------------------------------------------------------------------------


def called(name: str, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"content": "", "tool_calls": [{"id": "call_x", "type": "function", "function": function}]}


def served(coding: CodingSessions, task: RepairTask, client: ChatClient, **limits: Any) -> CodingTrajectory:
    done: list[CodingTrajectory] = []
    acting = replace(ACTING, **limits)
    act(client, [Case(coding, task, agent(), 7)], acting, lambda index, session: done.append(session))
    return done[0]


def test_a_model_behind_a_url_works_through_the_same_loop(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    edit = {"old_str": "if following != point:", "new_str": "if following == point:"}
    turns = [
        called("bash", command="cd /workspace && grep -rn following shapes | head -n 3"),
        called("edit", path="shapes/plane.py", **edit),
        {"content": "The comparison was the wrong way round; it is fixed."},
    ]
    bodies = []

    def behave(body: dict[str, Any], before: int) -> Action:
        bodies.append(body)
        turn = turns[sum(message["role"] == "assistant" for message in body["messages"])]
        reply = {"choices": [{"index": 0, "message": {"role": "assistant", **turn}, "finish_reason": "stop"}]}
        return Action(raw=json.dumps(reply).encode())

    with MockEndpoint(behave) as server:
        done = served(coding, tasks[0], open_client(f"{server.url}#m"))
    assert done.verdict.kept and "following" in done.messages[3]["content"], done.verdict
    assert [tool["function"]["name"] for tool in bodies[0]["tools"]] == ["bash", "view", "search_dir", "edit"]
    assert bodies[0]["messages"][1]["content"] == tasks[0].issue and bodies[0]["seed"] == 7
    assert coding.replay(tasks[0], done.messages)[0] == done.state_hash


def test_a_model_that_comes_to_no_end_gives_no_answer(coding: CodingSessions, tasks: list[RepairTask]) -> None:
    function = {"name": "view", "arguments": '{"path": "."}'}
    look = ChatResponse("", "", ({"id": "x", "type": "function", "function": function},))
    replies = {
        "token_limit": ChatResponse("I thi", finish_reason="length"),
        "refused": ChatRefusal("refused", "a filter"),
        "context_exhausted": ChatRefusal("too_long", "over 4096"),
        "step_limit": look,
    }
    for stop, reply in replies.items():
        done = served(coding, tasks[0], Answering(lambda request, reply=reply: reply), max_steps=2)  # type: ignore[misc]
        assert done.verdict.verdict == "no_answer" and stop in done.verdict.reason, done.verdict
    with pytest.raises(loop.InfrastructureError, match="no connection"):
        served(coding, tasks[0], Answering(lambda request: ChatRefusal("failed", "no connection")))
