"""The embedded agent: it keeps the rules of the desk, uses the tools it has, and slips as often as it should."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agents.conversations.agents import Agent
from agents.conversations.facts import Reference, facts_of
from agents.conversations.making import make_task
from agents.conversations.task import Goal, WorldTask
from agents.conversations.trajectory import QUIET, Case, Trajectory, simulate
from agents.worlds.reading import authored
from agents.worlds.surface import Surface, surface
from agents.worlds.world import World

RAIL, BIKES = surface("rail_tickets", 0), surface("bike_workshop", 0)
EXACT = Agent("exact", "You are exact.", "rail_tickets", 0, tuple(RAIL.app.actions))


def task(desk: Surface, seed: int, *goals: Goal, one_by_one: bool = True, leave_out: tuple[str, ...] = ()) -> WorldTask:
    turns = tuple((k,) for k in range(len(goals))) if one_by_one else (tuple(range(len(goals))),)
    tools = tuple(name for name in desk.tools if name not in leave_out)
    return WorldTask("t", desk.app.domain, desk.app.name, 0, seed, goals, turns, tools, 20)


def served(desk: Surface, seed: int, *goals: Goal, agent: Agent = EXACT, **more: Any) -> Trajectory:
    return simulate(Case(desk, task(desk, seed, *goals, **more), agent, "plain", 1, QUIET))


def calls(done: Trajectory) -> list[tuple[str, dict[str, Any]]]:
    return [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for message in done.messages
        for call in message.get("tool_calls") or []
    ]


def spoken(done: Trajectory, role: str) -> list[str]:
    return [str(m["content"]) for m in done.messages if m["role"] == role and not m.get("tool_calls")]


def ticket(seed: int, days: int, status: str = "booked") -> tuple[str, Mapping[str, Any]]:
    """Some ticket of a train that leaves in so many days, or later when there are 2; with its traveller's row."""
    world = World.generate(RAIL.app, seed)
    for key, row in world.tables["ticket"].items():
        departs = world.tables["train"][row["train"]]["departs"]
        away = int(departs[-2:]) - 11
        if row["status"] == status and (away == days or (days == 2 and away > 2)):
            return key, world.tables["traveller"][row["traveller"]]
    raise LookupError


def seed_with(days: int, status: str = "booked") -> int:
    for seed in range(200):
        try:
            ticket(seed, days, status)
        except LookupError:
            continue
        return seed
    raise AssertionError


def refund(key: str, email: str, expected: Any = "done", reason: str = "") -> Goal:
    references = {"ticket": Reference("id", "ticket", key, f"ticket {key}")}
    return Goal(
        "do",
        f"refund ticket {key}",
        expected,
        reason,
        "refund_ticket",
        {},
        references,
        credential={"identified": email},
    )


def test_it_asks_who_it_is_then_for_a_yes_then_acts_and_tells_the_amount() -> None:
    seed = seed_with(2)
    key, traveller = ticket(seed, 2)
    done = served(RAIL, seed, refund(key, traveller["email"]))
    assert done.verdict.kept, done.verdict
    names = [name for name, _ in calls(done)]
    assert names[-1] == "refund_ticket" and names.count("refund_ticket") == 1 and "get_ticket" in names
    roles = [m["role"] for m in done.messages if m["role"] in ("user", "assistant") and not m.get("tool_calls")]
    assert roles[:6] == ["user", "assistant"] * 3
    asked = spoken(done, "assistant")
    assert "email" in asked[0] and "?" in asked[0] and "?" in asked[1]
    paid = World.generate(RAIL.app, seed).tables["ticket"][key]["paid"]
    amount = round(paid * 0.9, 2)
    assert f"{amount:g}" in asked[2] or f"{amount:,}" in asked[2] or str(amount) in asked[2]


def test_a_stranger_gets_nothing() -> None:
    seed = seed_with(2)
    key, _ = ticket(seed, 2)
    done = served(RAIL, seed, refund(key, "thief@nowhere.example", "stranger", "identified"))
    assert done.verdict.kept and "refund_ticket" not in [name for name, _ in calls(done)]
    assert done.state_hash == World.generate(RAIL.app, seed).state_hash()


def test_what_a_rule_forbids_is_not_tried_but_what_only_fails_is() -> None:
    seed = seed_with(0)
    key, traveller = ticket(seed, 0)
    done = served(RAIL, seed, refund(key, traveller["email"], "forbidden", "no_late_refund"))
    assert done.verdict.kept and "refund_ticket" not in [name for name, _ in calls(done)]
    assert "its train leaves within a day" in " ".join(spoken(done, "assistant"))
    seed = seed_with(2, "used")
    key, traveller = ticket(seed, 2, "used")
    done = served(RAIL, seed, refund(key, traveller["email"], "fails", "not_refundable"))
    assert done.verdict.kept and calls(done)[-1][0] == "refund_ticket"
    assert f"{key} is used" in spoken(done, "assistant")[-1] or f"{key} is used" in " ".join(spoken(done, "assistant"))


def test_a_record_is_read_before_it_is_changed_where_a_rule_wants_it() -> None:
    seed = seed_with(2)
    key, _ = ticket(seed, 2)
    current = World.generate(RAIL.app, seed).tables["ticket"][key]["travel_class"]
    other = "first" if current == "second" else "second"
    references = {"ticket": Reference("id", "ticket", key, key)}
    goal = Goal("do", f"move {key} to {other} class", "done", "", "change_class", {"travel_class": other}, references)
    done = served(RAIL, seed, goal)
    assert done.verdict.kept
    assert calls(done) == [
        ("get_ticket", {"ticket_id": key}),
        ("change_class", {"ticket_id": key, "travel_class": other}),
    ]


def test_no_more_than_a_rule_allows() -> None:
    for seed in range(300):
        world = World.generate(BIKES.app, seed)
        waiting = [key for key, row in world.tables["job"].items() if row["status"] == "waiting"]
        able = [key for key, row in world.tables["mechanic"].items() if row["hours_free"] >= 8]
        if len(waiting) >= 3 and able and sum(world.tables["job"][key]["hours"] for key in waiting[:3]) <= 8:
            break
    mechanic = Reference("id", "mechanic", able[0], able[0])
    goals = []
    for number, key in enumerate(waiting[:3]):
        references = {"job": Reference("id", "job", key, key), "mechanic": mechanic}
        ends = ("done", "") if number < 2 else ("forbidden", "one_mechanic")
        goals.append(Goal("do", f"assign {key} to {able[0]}", *ends, "assign_mechanic", {}, references))
    agent = replace(EXACT, application="bike_workshop", actions=tuple(BIKES.app.actions))
    done = served(BIKES, seed, *goals, agent=agent)
    assert done.verdict.kept, done.verdict
    assert [arguments["job_id"] for name, arguments in calls(done) if name == "assign_mechanic"] == waiting[:2]


def test_it_looks_for_what_was_said_with_the_tools_it_has() -> None:
    seed = seed_with(2)
    key, _ = ticket(seed, 2)
    world = World.generate(RAIL.app, seed)
    row = world.tables["ticket"][key]
    name = world.tables["traveller"][row["traveller"]]["name"]
    told = Reference("label", "ticket", key, f"the ticket of {name}", facts_of(world, "ticket", key))
    question = Goal(
        "ask",
        f"tell me what was paid for the ticket of {name}",
        "told",
        "",
        "",
        {},
        {"record": told},
        "paid",
        (row["paid"],),
    )
    done = served(RAIL, seed, question)
    same = [
        k
        for k, other in world.tables["ticket"].items()
        if (other["traveller"], other["train"]) == (row["traveller"], row["train"])
    ]
    assert done.verdict.kept == (len(same) == 1)
    assert calls(done)[0] == ("find_traveller", {"name": name})
    lost = served(RAIL, seed, question, leave_out=("find_traveller",))
    assert not lost.verdict.kept and not calls(lost)


def test_a_desk_without_the_tool_says_so() -> None:
    done = served(RAIL, 1, Goal("outside", "sharpen my skates", "outside"))
    assert done.verdict.kept and not calls(done)
    assert "my skates" not in spoken(done, "assistant")[0]


@pytest.mark.parametrize(("slip", "recover"), [(0.0, 1.0), (0.5, 1.0), (0.5, 0.0)])
def test_slips_cost_conversations_and_repairs_save_some(slip: float, recover: float) -> None:
    kept, errors = share(slip, recover)
    if not slip:
        assert (kept, errors) == (1.0, 0)
    else:
        assert errors > 0 and kept < 0.9
        assert kept < share(0.5, 1.0)[0] or recover


def share(slip: float, recover: float) -> tuple[float, int]:
    """(share of kept conversations, results that say that the arguments were wrong)."""
    kept = errors = number = 0
    for name in list(authored())[::4]:
        desk = surface(name, 0)
        for seed in range(3):
            made = make_task(desk, seed, 2)
            agent = Agent("a", "x", name, 0, tuple(desk.app.actions), slip=slip, recover=recover, thinks=False)
            done = simulate(Case(desk, made.task, agent, "plain", seed, QUIET))
            errors += sum('"invalid_arguments"' in str(m["content"]) for m in done.messages if m["role"] == "tool")
            kept += done.verdict.kept
            number += 1
    return kept / number, errors
