"""The simulator: mistakes are told with their place, and trouble is part of the seed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from agents.worlds.simulator import REBUILDING, TIMED_OUT, UNAVAILABLE, Noise, Reply, Simulator
from agents.worlds.surface import surface
from agents.worlds.world import World

RAIL = surface("rail_tickets", 0)


def world() -> World:
    """One ticket of a train that leaves tomorrow, one of a train that leaves today."""
    train = {"origin": "Lyon", "destination": "Porto", "leaves_at": "09:00", "status": "on_time", "price": 40}
    ticket = {"traveller": "TV1", "seats": 1, "travel_class": "second", "status": "booked", "paid": 40}
    return World(
        RAIL.app,
        {
            "traveller": {"TV1": {"name": "Ada Vos", "email": "ada@vos.example", "points": 120}},
            "train": {
                "IC1": {**train, "departs": "2026-05-12", "seats_left": 4},
                "IC2": {**train, "departs": "2026-05-11", "seats_left": 4},
            },
            "ticket": {"TK1": {**ticket, "train": "IC1"}, "TK2": {**ticket, "train": "IC2"}},
        },
        {"traveller": 2, "train": 3, "ticket": 3},
    )


def shown(reply: Reply) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(reply.text)
    return value


def test_results_are_json_with_ids_for_references() -> None:
    simulator = Simulator(RAIL, world(), 1)
    assert shown(simulator.call("get_ticket", {"ticket_id": "TK1"})) == {
        "id": "TK1", "traveller_id": "TV1", "train_id": "IC1", "seats": 1, "paid": 40, "travel_class": "second",
        "status": "booked",
    }  # fmt: skip
    refund = simulator.call("refund_ticket", {"ticket_id": "TK1", "reason": "illness"})
    assert (shown(refund)["status"], shown(refund)["refund"], refund.error) == ("refunded", 36, False)
    listed = shown(simulator.call("search_trains", {"origin": "Lyon", "destination": "Porto"}))
    assert listed["count"] == 2 and [row["seats_left"] for row in listed["trains"]] == [5, 4]
    assert [done.error for done in simulator.log] == ["", "", ""]
    assert simulator.log[1].arguments == {"ticket": "TK1", "reason": "illness"}


@pytest.mark.parametrize(
    ("name", "arguments", "error", "says"),
    [
        ("fly", {}, "unknown_tool", "there is no tool fly"),
        ("refund_ticket", {}, "invalid_arguments", "'ticket_id' is a required property"),
        ("refund_ticket", {"ticket_id": 7}, "invalid_arguments", "ticket_id: 7 is not of type 'string'"),
        ("refund_ticket", {"ticket_id": "TK1", "reason": "rain"}, "invalid_arguments", "reason: 'rain' is not one of"),
        ("refund_ticket", {"ticket_id": "TK1", "fast": True}, "invalid_arguments", "'fast' was unexpected"),
        ("redeem_points", {"ticket_id": "TK1", "points": "50"}, "invalid_arguments", "points: '50' is not of type"),
        ("redeem_points", {"ticket_id": "TK1", "points": 10**80}, "invalid_arguments", "points is too large"),
        ("redeem_points", {"ticket_id": "TK1", "points": float("inf")}, "invalid_arguments", "points"),
        ("redeem_points", {"ticket_id": "TK1", "points": True}, "invalid_arguments", "points: True is not of type"),
        ("search_trains", {"origin": "Lyon", "destination": "Porto", "departs": "soon"}, "invalid_arguments",
         "departs must be a day written YYYY-MM-DD, not 'soon'"),
        ("search_trains", {"origin": None, "destination": "Porto"}, "invalid_arguments", "origin: None is not of type"),
        ("refund_ticket", {"ticket_id": "TK8"}, "not_found", "there is no ticket TK8"),
        ("redeem_points", {"ticket_id": "TK1", "points": 121}, "too_few_points", "Ada Vos has only 120 points"),
    ],
)  # fmt: skip
def test_a_callers_mistake_is_a_reply_that_names_the_place(
    name: str, arguments: Mapping[str, Any], error: str, says: str
) -> None:
    simulator, before = Simulator(RAIL, world(), 1), world().state_hash()
    reply = simulator.call(name, arguments)
    assert reply.error and shown(reply)["error"] == error and says in shown(reply)["message"]
    assert simulator.world.state_hash() == before
    assert (simulator.log[0].error, simulator.log[0].outcome) == (error, None)


def test_a_mistake_inside_a_group_names_its_path() -> None:
    from agents.worlds.reading import authored
    from agents.worlds.surface import shaped

    shape, tool = next(
        (shape, tool)
        for app in authored().values()
        for number in range(1, 9)
        for shape in [shaped(app, number)]
        for tool in shape.tools.values()
        if tool.group and any(a.parameter.type.base == "enum" and not a.parameter.optional for a in tool.arguments)
    )
    wrong = next(a for a in tool.arguments if a.parameter.type.base == "enum" and not a.parameter.optional)
    arguments = {a.name: "X1" for a in tool.arguments if a.parameter.type.base == "ref"}
    reply = Simulator(shape, World.generate(shape.app, 1), 1).call(
        tool.name, {**arguments, tool.group: {wrong.name: "?"}}
    )
    assert shown(reply)["error"] == "invalid_arguments"
    assert tool.group in shown(reply)["message"] or "required" in shown(reply)["message"]


def test_values_that_nobody_would_give_are_refused_and_never_raise() -> None:
    """A date and a number far out of every calendar, in every tool of some applications."""
    from agents.worlds.reading import authored

    for app in list(authored().values())[::6]:
        shape = surface(app.name, 0)
        generated = World.generate(app, 2)
        for tool in shape.tools.values():
            for number, day in ((10**11, "9999-12-31"), (-(10**11), "0001-01-01"), (1e-300, "2026-01-01")):
                arguments: dict[str, Any] = {}
                for argument in tool.arguments:
                    kind = argument.parameter.type
                    if kind.base == "ref":
                        arguments[argument.name] = next(iter(generated.tables[kind.target]))
                    elif kind.numeric:
                        arguments[argument.name] = int(number) if kind.base == "int" else number
                    elif kind.base == "bool":
                        arguments[argument.name] = True
                    elif kind.base == "list":
                        arguments[argument.name] = []
                    else:
                        arguments[argument.name] = kind.values[0] if kind.values else day
                simulator = Simulator(shape, generated.copy(), 1)
                reply = simulator.call(tool.name, arguments)
                json.loads(reply.text, parse_constant=pytest.fail)


def test_policies_that_forbid_a_call_and_who_must_be_known_stand_in_the_log() -> None:
    simulator = Simulator(RAIL, world(), 1)
    simulator.call("refund_ticket", {"ticket_id": "TK1"})  # leaves tomorrow
    simulator.call("refund_ticket", {"ticket_id": "TK2"})  # today
    simulator.call("change_class", {"ticket_id": "TK2", "travel_class": "first"})
    assert [done.banned for done in simulator.log] == [(), ("no_late_refund",), ()]
    assert [dict(done.owners) for done in simulator.log][:2] == [{"identified": "TV1"}] * 2
    assert simulator.log[2].error == "not_changeable" and not simulator.log[2].owners


def _calls(seed: int, noise: Noise) -> tuple[list[str], str]:
    simulator = Simulator(RAIL, world(), seed, noise)
    replies = [simulator.call("search_trains", {"origin": "Lyon", "destination": "Porto"}).text for _ in range(20)]
    replies += [simulator.call("redeem_points", {"ticket_id": "TK1", "points": 1}).text for _ in range(40)]
    return replies, simulator.world.state_hash()


def test_trouble_is_part_of_the_seed() -> None:
    noise = Noise(failure=0.2, rebuilding=0.2, timeout=0.3)
    assert _calls(3, noise) == _calls(3, noise) != _calls(4, noise)
    replies, _ = _calls(3, noise)
    texts = " ".join(replies)
    assert UNAVAILABLE in texts and REBUILDING in texts and TIMED_OUT in texts
    assert not any(REBUILDING in reply for reply in replies[20:]) and not any(TIMED_OUT in r for r in replies[:20])
    quiet, _ = _calls(3, Noise())
    assert not any("error" in reply for reply in quiet)


def test_a_failure_does_nothing_and_a_time_out_does_it_or_not() -> None:
    failing = Simulator(RAIL, world(), 1, Noise(failure=1.0))
    reply = failing.call("redeem_points", {"ticket_id": "TK1", "points": 60})
    assert (shown(reply)["error"], shown(reply)["message"], reply.error) == ("unavailable", UNAVAILABLE, True)
    assert failing.world.state_hash() == world().state_hash() and failing.log[0].outcome is None
    made = dict.fromkeys((True, False), 0)
    for seed in range(40):
        simulator = Simulator(RAIL, world(), seed, Noise(timeout=1.0))
        reply = simulator.call("redeem_points", {"ticket_id": "TK1", "points": 60})
        assert (shown(reply), reply.error) == ({"error": TIMED_OUT}, True)
        done = simulator.world.tables["traveller"]["TV1"]["points"] == 60
        assert (
            done == (simulator.log[0].outcome is not None) == (simulator.world.tables["ticket"]["TK1"]["paid"] == 39.4)
        )
        assert simulator.log[0].error == TIMED_OUT
        made[done] += 1
        assert not simulator.call("get_ticket", {"ticket_id": "TK1"}).error  # reading never times out
    assert min(made.values()) >= 10


def test_a_late_change_that_cant_be_made_is_refused_like_any_other() -> None:
    texts = set()
    for seed in range(20):
        simulator = Simulator(RAIL, world(), seed, Noise(timeout=1.0))
        texts.add(simulator.call("redeem_points", {"ticket_id": "TK1", "points": 250}).text)
    assert texts == {
        json.dumps({"error": TIMED_OUT}),
        json.dumps({"error": "too_few_points", "message": "Ada Vos has only 120 points"}),
    }
