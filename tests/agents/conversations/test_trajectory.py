"""Conversations: they replay from their messages alone, serve every persona, and think aloud or not."""

import json
from collections import Counter
from itertools import zip_longest
from typing import Any

import pytest

from agents.conversations.agents import Agent, make_agent, prompt
from agents.conversations.making import NoTask, make_task
from agents.conversations.trajectory import NOISE, QUIET, Case, Trajectory, replay, simulate
from agents.conversations.users import PERSONAS
from agents.worlds.reading import authored
from agents.worlds.simulator import TIMED_OUT, UNAVAILABLE, Noise
from agents.worlds.surface import shaped
from k2model.chat.messages import next_call_index, render
from tests.agents.conversations.wishes import told_as

DESKS = [shaped(app, number) for k, app in enumerate(authored().values()) for number in (k % 3,)]


def played(number: int, noise: Noise = NOISE, **agent: Any) -> Case:
    """The case with this number: an agent of a desk, a task within its tools."""
    for seed in range(number, number + 1000, 100):
        made = make_agent(seed, 0, DESKS)
        desk = next(d for d in DESKS if d.app.name == made.application)
        persona = PERSONAS[number % len(PERSONAS)]
        try:
            task = make_task(desk, seed, 1 + number % 4, persona, actions=made.actions).task
        except NoTask:
            continue
        given = Agent(**{**made.__dict__, **agent})
        return Case(desk, task, given, persona, seed, noise)
    raise AssertionError(number)


@pytest.fixture(scope="module")
def held() -> list[tuple[Case, Trajectory]]:
    return [(case, simulate(case)) for case in (played(number) for number in range(150))]


def calls(done: Trajectory) -> list[dict[str, Any]]:
    return [call for message in done.messages for call in message.get("tool_calls") or []]


def test_they_replay_to_the_same_state_and_results(held: list[tuple[Case, Trajectory]]) -> None:
    for case, done in held:
        messages = json.loads(json.dumps(done.messages))  # nothing but the messages
        state, results = replay(case, messages)
        assert state == done.state_hash
        assert results == [m["content"] for m in done.messages if m["role"] == "tool"]
        numbers = [int(call["id"].rsplit(":", 1)[1]) for call in calls(done)]
        assert numbers == list(range(next_call_index(done.messages)))
        assert {call["function"]["name"] for call in calls(done)} <= set(case.task.tools)
        assert [tool["function"]["name"] for tool in done.tools] == list(case.task.tools)
        render(done.messages, done.tools)
    assert [simulate(case) for case, _ in held[::10]] == [done for _, done in held[::10]]


def test_most_are_kept_and_the_rest_for_reasons_of_many_kinds(held: list[tuple[Case, Trajectory]]) -> None:
    verdicts = Counter(done.verdict.verdict for _, done in held)
    assert 0.6 * len(held) < verdicts["success"] < len(held)
    assert all(done.verdict.reason for _, done in held)


@pytest.mark.parametrize("persona", PERSONAS)
def test_an_exact_agent_serves_every_persona_and_goes_on_in_his_order(persona: str) -> None:
    for seed in range(12):
        desk = DESKS[(seed * 7 + len(persona)) % len(DESKS)]
        task = make_task(desk, seed, 1 + seed % 4, persona).task
        agent = Agent("exact", "You are exact.", desk.app.name, desk.number, tuple(desk.app.actions))
        done = simulate(Case(desk, task, agent, persona, seed, QUIET))
        assert done.verdict.kept, done.verdict
        heard = [str(m["content"]) for m in done.messages if m["role"] == "user"]
        at = 0
        for turn in task.turns:
            wishes = [task.goals[number].says for number in turn]
            where = [k for k in range(at, len(heard)) if all(told_as(wish, heard[k]) for wish in wishes)]
            assert where, (wishes, heard)
            at = where[0] + 1


def test_the_prompt_holds_the_day_and_every_rule(held: list[tuple[Case, Trajectory]]) -> None:
    for case, done in held:
        system = str(done.messages[0]["content"])
        assert done.messages[0]["role"] == "system" and system == prompt(case.agent, case.surface.app)
        assert case.surface.app.today.isoformat() in system and system.startswith(case.agent.system)
        assert all(f"\n- {policy.text}" in system for policy in case.surface.app.policies)


def test_thoughts_are_there_or_left_out_by_agent(held: list[tuple[Case, Trajectory]]) -> None:
    aloud = Counter[bool]()
    texts = Counter[str]()
    for case, done in held:
        thoughts = [str(m.get("reasoning_content") or "") for m in done.messages if m["role"] == "assistant"]
        steps = [str(m["reasoning_content"]) for m in done.messages if m.get("tool_calls")]
        assert any(thoughts) == case.agent.thinks or not steps
        assert all(steps) or not case.agent.thinks
        aloud[case.agent.thinks] += 1
        texts.update(filter(None, thoughts))
    assert 0.3 < aloud[True] / len(held) < 0.7
    assert len(texts) > 0.3 * texts.total() and not any("{" in text for text in texts)


def test_searches_that_dont_wait_for_each_other_are_made_at_once() -> None:
    """Only by agents that do so; what comes back is the same."""
    at_once = 0
    for number in range(60):
        both = [simulate(played(number, QUIET, together=together, slip=0.0)) for together in (False, True)]
        lengths = [[len(m["tool_calls"]) for m in done.messages if m.get("tool_calls")] for done in both]
        assert set(lengths[0]) <= {1} and both[0].state_hash == both[1].state_hash
        assert sum(lengths[1]) <= sum(lengths[0]) + 1
        at_once += max(lengths[1], default=0) > 1
    assert at_once >= 6


def test_what_failed_for_a_moment_is_tried_again() -> None:
    again = 0
    for number in range(40):
        done = simulate(played(number, Noise(failure=0.3), slip=0.0, patience=2, thinks=True))
        results = {m["tool_call_id"]: str(m["content"]) for m in done.messages if m["role"] == "tool"}
        made = calls(done)
        for call, following in zip(made, made[1:], strict=False):
            if UNAVAILABLE in results[call["id"]] and call["function"] == following["function"]:
                again += 1
    assert again >= 15


def test_after_a_time_out_the_agent_looks_before_it_does_it_again() -> None:
    looked = doubled = kept = timed_out = 0
    for number in range(60):
        done = simulate(played(number, Noise(timeout=0.6), slip=0.0, recover=1.0, thinks=True))
        results = {m["tool_call_id"]: str(m["content"]) for m in done.messages if m["role"] == "tool"}
        made = calls(done)
        for call, following in zip_longest(made, made[1:]):
            if TIMED_OUT in results[call["id"]]:
                timed_out += 1
                doubled += following is not None and following["function"] == call["function"]
                looked += following is not None and following["function"]["name"] != call["function"]["name"]
        kept += done.verdict.kept
    assert timed_out >= 20 and doubled == 0 and looked >= 0.6 * timed_out and kept >= 30


def test_agents_are_many_and_have_the_tools_of_one_desk() -> None:
    agents = [make_agent(number, 0, DESKS) for number in range(600)]
    assert agents == [make_agent(number, 0, DESKS) for number in range(600)]
    assert len({(agent.system, agent.actions, agent.shape) for agent in agents}) > 580
    assert len({agent.application for agent in agents}) > 60
    for agent in agents:
        app = authored()[agent.application]
        assert set(agent.actions) <= set(app.actions)
        assert {action.name for action in app.actions.values() if action.reads} <= set(agent.actions)
        assert sum(not app.actions[name].reads for name in agent.actions) >= 3
    silent = [make_agent(number, 0, DESKS, thoughts=0.0) for number in range(50)]
    assert not any(agent.thinks for agent in silent)
