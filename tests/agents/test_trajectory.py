"""Simulated conversations: solvable tasks, exact replays, and a judge that planted mistakes can't pass."""

import copy
import json

import pytest

from agents.judge import judge
from agents.policy import Agent, make_agent
from agents.tasks import EASY, Application, applications, collateral, make_task, unmet
from agents.tasks import replay as replay_gold
from agents.tools.evolve import evolve, kinds
from agents.tools.nouns import DOMAINS
from agents.trajectory import replay, simulate
from agents.users import PERSONAS, script, untold
from agents.world.simulator import Noise, Simulator
from agents.world.world import World
from k2model.chat import next_call_index, render

PERFECT = Agent("perfect", "You are exact.", 0.0, 1.0, "plain")
QUIET = Noise()


@pytest.fixture(scope="module")
def apps() -> list[Application]:
    return applications(kinds())


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
        answers = " ".join(str(goal.criterion.values.get("answer", "")) for goal in task.subgoals)
        assert unmet(task, replay_gold(app, task), answers) == []
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
        app = apps[seed * 7 % len(apps)]
        said = script(app, make_task(app, seed, 1 + seed % 5), PERSONAS[seed % len(PERSONAS)], seed)
        done = simulate(app, said, make_agent(seed, 0), seed)
        state, results = replay(app, done.task, done.messages, seed)
        assert state == done.state_hash
        assert results == [m["content"] for m in done.messages if m["role"] == "tool"]
        assert simulate(app, said, make_agent(seed, 0), seed).messages == done.messages
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
    world = World.generate([kind], 1, locked_share=1.0)
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
