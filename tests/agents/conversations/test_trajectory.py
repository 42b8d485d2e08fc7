"""Simulated conversations: solvable tasks, exact replays, and a judge that planted mistakes can't pass."""

import copy
import json
from typing import Any

import pytest

from agents.conversations.drafting import EASY, FORMS, NoTask, make_task
from agents.conversations.judge import judge
from agents.conversations.planner import Agent, AgentPolicy, make_agent
from agents.conversations.simulator import Noise, Simulator
from agents.conversations.tasks import Application, applications, collateral, gold_answer, unmet
from agents.conversations.tasks import replay as replay_gold
from agents.conversations.trajectory import Trajectory, replay, simulate
from agents.conversations.users import PERSONAS, script, untold
from agents.conversations.world import World
from agents.tools.evolve import evolve
from agents.tools.nouns import DOMAINS
from k2model.chat.messages import next_call_index, render

PERFECT = Agent("perfect", "You are exact.", 0.0, 1.0, "plain")
QUIET = Noise()


@pytest.fixture(scope="module")
def apps() -> list[Application]:
    return applications(evolve())


def test_the_tree_has_seventeen_domains_and_twenty_thousand_different_tools() -> None:
    tools = evolve()
    assert len(DOMAINS) == 17
    assert {tool.kind.domain for tool in tools} == set(DOMAINS)
    assert len(tools) >= 20_000
    assert len({tool.name for tool in tools}) == len({tool.description for tool in tools}) == len(tools)


@pytest.mark.parametrize("subgoals", [1, 3, 10])
def test_the_gold_plan_reaches_the_goal_and_an_idle_agent_does_not(apps: list[Application], subgoals: int) -> None:
    for seed in range(40):
        app = apps[seed * 3 % len(apps)]
        task = make_task(app, seed, subgoals)
        assert len(task.gold) >= subgoals
        assert set(call.tool for call in task.gold) <= set(task.tools)
        assert unmet(task, replay_gold(app, task), gold_answer(task)) == []
        assert unmet(task, app.world(task), "")


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_perfect_agent_in_a_quiet_world_serves_every_persona(apps: list[Application], persona: str) -> None:
    for seed in range(25):
        app = apps[seed * 5 % len(apps)]
        said = script(app, make_task(app, seed, 1 + seed % 4), persona, seed)
        assert untold(said) == []
        done = simulate(app, said, PERFECT, seed, QUIET)
        assert done.verdict.kept, (persona, seed, done.verdict)
        render(done.messages, done.tools)


def test_trajectories_replay_to_the_same_state_and_results(apps: list[Application]) -> None:
    for seed in range(150):
        agent = make_agent(seed, 0, apps)
        app = next(app for app in apps if app.name == agent.application)
        task = make_task(app, seed, 1 + seed % 5, allowed=set(agent.tools), helpers=True)
        said = script(app, task, PERSONAS[seed % len(PERSONAS)], seed)
        done = simulate(app, said, agent, seed)
        state, results = replay(app, done.task, done.messages, seed)
        assert state == done.state_hash
        assert results == [m["content"] for m in done.messages if m["role"] == "tool"]
        assert simulate(app, said, agent, seed).messages == done.messages
        calls = [c["id"] for m in done.messages for c in m.get("tool_calls") or []]
        assert [int(one.rsplit(":", 1)[1]) for one in calls] == list(range(next_call_index(done.messages)))


def test_planted_mistakes_are_judged_bad_and_clean_runs_good(apps: list[Application]) -> None:
    right = 0
    total = 0
    for seed in range(120):
        app = apps[seed * 11 % len(apps)]
        task = make_task(app, seed, 2, forms=EASY)
        said = script(app, task, "plain", seed)
        good = simulate(app, said, PERFECT, seed, QUIET)
        world = app.world(task)
        simulator = Simulator([app.tools[name] for name in task.tools], world, seed)
        calls = copy.deepcopy(task.gold)
        kind = seed % 4
        if kind == 0:
            calls = calls[:-1]  # a step is missing
        for place, call in enumerate(calls):
            arguments = dict(call.arguments)
            if kind == 1 and place == 0:
                arguments["id"] = next(  # the wrong record
                    one for one in world.entities[task.subgoals[0].criterion.kind] if one != arguments["id"]
                )
            simulator.call(call.tool, arguments)
        if kind == 2:  # one thing too many
            victim = task.subgoals[0].criterion
            spare = next(one for one in world.entities[victim.kind] if one not in task.request)
            del world.entities[victim.kind][spare]
        stop = "step_limit" if kind == 3 else "answered"
        bad = judge(app, task, world, good.messages, stop)
        right += good.verdict.kept + (not bad.kept)
        total += 2
    assert right / total >= 0.98


def test_noise_is_part_of_the_seed_and_leaves_the_world_alone(apps: list[Application]) -> None:
    app = apps[0]
    task = make_task(app, 3, 1, forms=EASY)
    tools = [app.tools[name] for name in task.tools]
    call = task.gold[0]
    failing = Simulator(tools, app.world(task), 5, Noise(failure=1.0))
    before = failing.world.state_hash()
    reply = failing.call(call.tool, call.arguments)
    assert (json.loads(reply.text)["error"], reply.error) == ("temporarily unavailable, try again", True)
    assert failing.world.state_hash() == before


def test_what_a_caller_does_wrong_is_a_reply_not_an_exception(apps: list[Application]) -> None:
    app = apps[0]
    kind = app.kinds[0]
    world = World.generate([kind], 1)
    world.locked = set(world.entities[kind.slug])
    simulator = Simulator(list(app.tools.values()), world, 1)
    update = app.find(kind, "update", "status").name
    one = next(iter(world.entities[kind.slug]))
    assert "unknown tool" in simulator.call("nothing", {}).text
    assert "invalid arguments" in simulator.call(update, {"id": one}).text
    assert "invalid arguments" in simulator.call(update, {"id": one, "status": "purple"}).text
    assert "no seat reservation ZZ9" in simulator.call(update, {"id": "ZZ9", "status": "open"}).text
    assert "permission denied" in simulator.call(update, {"id": one, "status": "open"}).text


def test_worlds_are_told_apart_by_their_hash(apps: list[Application]) -> None:
    kinds_ = apps[4].kinds[:2]
    assert World.generate(kinds_, 1).state_hash() == World.generate(kinds_, 1).state_hash()
    assert World.generate(kinds_, 1).state_hash() != World.generate(kinds_, 2).state_hash()
    world = World.generate(kinds_, 1)
    assert (
        collateral(
            apps[4], make_task(apps[4], 9, 1, forms=EASY), replay_gold(apps[4], make_task(apps[4], 9, 1, forms=EASY))
        )
        == []
    )
    assert world.copy().state_hash() == world.state_hash()


def _results(done: Trajectory) -> list[dict[str, Any]]:
    return [json.loads(m["content"]) for m in done.messages if m["role"] == "tool"]


def _thoughts(done: Trajectory) -> str:
    return " ".join(str(m.get("reasoning_content") or "") for m in done.messages)


@pytest.mark.parametrize("form", ["blocked", "blocked_or_else"])
def test_a_locked_record_is_tried_left_alone_and_reported(apps: list[Application], form: str) -> None:
    for seed in range(20):
        app = apps[seed * 5 % len(apps)]
        task = make_task(app, seed, 1, forms=(form,))
        said = script(app, task, "plain", seed)
        done = simulate(app, said, PERFECT, seed, QUIET)
        (locked,) = task.locked
        assert done.verdict.kept
        assert {"error": f"permission denied for {locked}"} in _results(done)
        assert app.world(task).entities == replay_gold(app, task).entities or form == "blocked_or_else"
        silent = [*done.messages[:-1], {"role": "assistant", "content": "Done."}]
        world = replay_gold(app, task)
        if form == "blocked":
            assert judge(app, task, world, silent, "answered").verdict == "criterion_missed"
        assert judge(app, task, world, [*done.messages[:2], done.messages[-1]], "answered").verdict == "not_tried"
        lie = [
            *done.messages[:-1],
            {"role": "assistant", "content": f"{done.messages[-1]['content']} I could not do one thing: x."},
        ]
        assert judge(app, task, world, lie, "answered").verdict == "false_report"


@pytest.mark.parametrize("form", ["change_by_id", "remove", "add", "raise_number"])
def test_after_a_time_out_a_good_agent_looks_before_it_makes_the_change_again(
    apps: list[Application], form: str
) -> None:
    agent = Agent("good", "You are exact.", 0.0, 1.0, "plain", AgentPolicy(read_first=True))
    careless = Agent("bad", "You are exact.", 0.0, 0.0, "plain")
    made = kept = doubled = 0
    for seed in range(60):
        app = apps[seed * 5 % len(apps)]
        task = make_task(app, seed, 1, forms=(form,), helpers=True)
        said = script(app, task, "plain", seed)
        done = simulate(app, said, agent, seed, Noise(timeout=0.7))
        assert any("timed out" in str(one.get("error")) for one in _results(done)) == ("I look" in _thoughts(done))
        kept += done.verdict.kept
        made += "was made although" in _thoughts(done)
        doubled += not simulate(app, said, careless, seed, Noise(timeout=0.7)).verdict.kept
    assert made > 5
    assert kept > 45
    assert form == "change_by_id" or doubled > 60 - kept


def test_old_copies_are_read_again_by_those_who_notice(apps: list[Application]) -> None:
    noise = Noise(stale=0.5)
    rules = AgentPolicy(verify=True)
    kept = {1.0: 0, 0.0: 0}
    for seed in range(40):
        app = apps[seed * 3 % len(apps)]
        task = make_task(app, seed, 1, forms=("raise_number",), helpers=True)
        for recover in kept:
            done = simulate(
                app, script(app, task, "plain", seed), Agent("a", "x", 0.0, recover, "plain", rules), seed, noise
            )
            kept[recover] += done.verdict.kept
            if recover and any(one.get("cached") for one in _results(done)):
                assert "cached copy" in _thoughts(done)
    assert kept[1.0] > 35 > 30 > kept[0.0]


def test_latency_stands_in_the_results(apps: list[Application]) -> None:
    task = make_task(apps[0], 3, 1, forms=EASY)
    done = simulate(apps[0], script(apps[0], task, "plain", 3), PERFECT, 3, Noise(slow=1.0))
    assert all(one["took_s"] >= 5 for one in _results(done))


def test_a_policy_stands_in_the_prompt_and_is_judged(apps: list[Application]) -> None:
    task = make_task(apps[2], 4, 1, forms=("change_by_id",), helpers=True)
    said = script(apps[2], task, "plain", 4)
    rules = AgentPolicy(read_first=True)
    good = simulate(apps[2], said, Agent("a", "x", 0.0, 1.0, "plain", rules), 4, QUIET)
    assert good.verdict.kept and good.n_calls == 2
    hasty = simulate(apps[2], said, PERFECT, 4, QUIET)
    assert (
        judge(apps[2], task, replay_gold(apps[2], task), hasty.messages, "answered", read_first=True).verdict
        == "policy_broken"
    )
    agents = [make_agent(number, 0, apps) for number in range(1200)]
    assert len({(one.system, one.tools, one.policy) for one in agents}) > 1190
    assert all(one.policy.rules() in one.system for one in agents)
    assert all(set(one.tools) <= set(next(a for a in apps if a.name == one.application).tools) for one in agents[::50])


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_makes_tasks_within_an_agents_tools(apps: list[Application], form: str) -> None:
    app = apps[7]
    for seed in range(8):
        task = make_task(app, seed, 1, forms=(form,))
        again = make_task(app, seed, 1, forms=(form,), allowed=set(app.tools))
        assert task == again
    with pytest.raises(NoTask, match="no task"):
        make_task(app, 1, 1, forms=(form,), allowed={app.find(kind, "get").name for kind in app.kinds})
