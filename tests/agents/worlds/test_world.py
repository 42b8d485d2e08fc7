"""Worlds: the same everywhere, and actions that do what was worked out here by hand, whole or not at all."""

import copy
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
import yaml

from agents.worlds.application import Application
from agents.worlds.expression import ExpressionError
from agents.worlds.reach import random_arguments
from agents.worlds.reading import FOLDER, authored, parse
from agents.worlds.world import Outcome, Refused, World

RAIL, BIKES = authored()["rail_tickets"], authored()["bike_workshop"]


def railway() -> World:
    """Two travellers, three trains, three tickets, on 2026-05-11."""
    train = {"origin": "Lyon", "destination": "Porto", "leaves_at": "09:00", "status": "on_time"}
    ticket = {"travel_class": "second", "status": "booked"}
    return World(
        RAIL,
        {
            "traveller": {
                "TV1": {"name": "Ada Vos", "email": "ada@vos.example", "points": 120},
                "TV2": {"name": "Bo Lind", "email": "bo@lind.example", "points": 20},
            },
            "train": {
                "IC1": {**train, "departs": "2026-05-13", "seats_left": 4, "price": 40},
                "IC2": {**train, "departs": "2026-05-11", "seats_left": 1, "price": 25.5},
                "IC3": {**train, "departs": "2026-05-14", "seats_left": 9, "price": 18, "status": "cancelled"},
            },
            "ticket": {
                "TK1": {**ticket, "traveller": "TV1", "train": "IC1", "seats": 2, "paid": 81},
                "TK2": {**ticket, "traveller": "TV2", "train": "IC2", "seats": 1, "paid": 25.5},
                "TK3": {**ticket, "traveller": "TV1", "train": "IC1", "seats": 1, "paid": 40, "status": "refunded"},
            },
        },
        {"traveller": 3, "train": 4, "ticket": 4},
    )


def run(world: World, action: str, **arguments: Any) -> Outcome:
    return world.run(world.app.actions[action], arguments)


def changed(before: World, after: World) -> dict[str, dict[str, Any]]:
    """Fields that differ, by id, found without the world's own comparison."""
    return {
        key: {name: value for name, value in row.items() if before.tables[entity].get(key, {}).get(name, ...) != value}
        for entity, table in after.tables.items()
        for key, row in table.items()
        if before.tables[entity].get(key) != row
    }


def test_a_refund_keeps_a_tenth_and_gives_the_seats_back() -> None:
    world, before = railway(), railway()
    outcome = run(world, "refund_ticket", ticket="TK1", reason="illness")
    assert outcome == Outcome("ticket", ("TK1",), {"refund": 72.9})
    assert changed(before, world) == {"TK1": {"status": "refunded"}, "IC1": {"seats_left": 6}}


def test_a_refund_for_a_delay_is_whole_and_the_reason_has_a_default() -> None:
    assert run(railway(), "refund_ticket", ticket="TK1", reason="delay").lets == {"refund": 81}
    assert run(railway(), "refund_ticket", ticket="TK2").lets == {"refund": 22.95}


def test_a_booking_makes_a_ticket_takes_seats_and_gives_points() -> None:
    world, before = railway(), railway()
    outcome = run(world, "book_ticket", traveller="TV2", train="IC1", seats=3, travel_class="first")
    assert outcome == Outcome("ticket", ("TK4",), {"price": 180}, "TK4")
    assert changed(before, world) == {
        "TK4": {
            "traveller": "TV2",
            "train": "IC1",
            "seats": 3,
            "paid": 180,
            "travel_class": "first",
            "status": "booked",
        },
        "IC1": {"seats_left": 1},
        "TV2": {"points": 50},
    }
    assert run(world, "book_ticket", traveller="TV1", train="IC1", seats=1).ids == ("TK5",)
    assert world.tables["ticket"]["TK5"]["paid"] == 40  # second class when none is said
    assert world.tables["train"]["IC1"]["seats_left"] == 0


def test_points_pay_a_part_of_a_ticket() -> None:
    world, before = railway(), railway()
    assert run(world, "redeem_points", ticket="TK1", points=115).lets == {"credit": 1.15}
    assert changed(before, world) == {"TK1": {"paid": 79.85}, "TV1": {"points": 5}}


@pytest.mark.parametrize(
    ("action", "arguments", "error", "says"),
    [
        ("refund_ticket", {"ticket": "TK3"}, "not_refundable", "TK3 is refunded"),
        ("refund_ticket", {"ticket": "TK9"}, "not_found", "there is no ticket TK9"),
        ("book_ticket", {"traveller": "TV1", "train": "IC3", "seats": 1}, "train_cancelled", "IC3 has been cancelled"),
        ("book_ticket", {"traveller": "TV1", "train": "IC2", "seats": 2}, "sold_out", "only 1 seats are left on IC2"),
        ("book_ticket", {"traveller": "TV7", "train": "IC1", "seats": 2}, "not_found", "there is no traveller TV7"),
        ("change_class", {"ticket": "TK1", "travel_class": "second"}, "same_class", "TK1 is already in second class"),
        ("redeem_points", {"ticket": "TK2", "points": 50}, "too_few_points", "Bo Lind has only 20 points"),
        ("get_ticket", {"ticket": "IC1"}, "not_found", "there is no ticket IC1"),
        ("list_tickets", {"traveller": "TV9"}, "not_found", "there is no traveller TV9"),
    ],
)
def test_what_cant_be_is_a_named_error_and_changes_nothing(
    action: str, arguments: dict[str, Any], error: str, says: str
) -> None:
    world = railway()
    with pytest.raises(Refused) as refusal:
        run(world, action, **arguments)
    assert refusal.value.error == error
    assert str(refusal.value).replace("1 seat are", "1 seats are") == says
    assert (world.tables, world.numbers) == (railway().tables, railway().numbers)


def test_searches_show_what_fits_in_any_case() -> None:
    world = railway()
    assert run(world, "search_trains", origin="lyon", destination="Porto").ids == ("IC1", "IC2", "IC3")
    assert run(world, "search_trains", origin="Lyon", destination="Porto", departs="2026-05-13").ids == ("IC1",)
    assert run(world, "find_traveller", email="BO@lind.example").ids == ("TV2",)
    assert run(world, "find_traveller").ids == ("TV1", "TV2")
    assert run(world, "list_tickets", traveller="TV1", status="refunded").ids == ("TK3",)
    assert run(world, "get_ticket", ticket="TK2").ids == ("TK2",)
    assert (world.tables, world.numbers) == (railway().tables, railway().numbers)


def workshop() -> World:
    bike = {"kind": "city bike", "color": "red", "frame_size": 54}
    job = {"mechanic": None, "fault": "flat tyre", "due": "2026-03-05"}
    return World(
        BIKES,
        {
            "customer": {
                "C1": {"name": "Ada Vos", "phone": "+31 1", "balance": 30.5},
                "C2": {"name": "Bo Lind", "phone": "+31 2", "balance": 200},
            },
            "bike": {"B1": {**bike, "owner": "C1"}, "B2": {**bike, "owner": "C2"}, "B3": {**bike, "owner": "C2"}},
            "mechanic": {"M1": {"name": "Lena", "skill": "wheels", "hours_free": 3}},
            "job": {
                "J1": {**job, "bike": "B1", "hours": 2, "estimate": 110, "status": "ready"},
                "J2": {**job, "bike": "B2", "hours": 1, "estimate": 65, "status": "ready"},
                "J3": {**job, "bike": "B3", "hours": 2, "estimate": 110, "status": "waiting"},
                "J4": {**job, "bike": "B3", "hours": 4, "estimate": 200, "status": "waiting"},
            },
        },
        {"customer": 3, "bike": 4, "mechanic": 2, "job": 5},
    )


def test_a_bill_takes_the_balance_first() -> None:
    world, before = workshop(), workshop()
    assert run(world, "collect_payment", job="J1").lets == {"from_balance": 30.5, "due_now": 79.5}
    assert run(world, "collect_payment", job="J2").lets == {"from_balance": 65, "due_now": 0}
    assert changed(before, world) == {
        "J1": {"status": "paid"},
        "C1": {"balance": 0},
        "J2": {"status": "paid"},
        "C2": {"balance": 135},
    }


def test_a_mechanic_has_fewer_hours_with_each_job() -> None:
    world, before = workshop(), workshop()
    assert run(world, "assign_mechanic", job="J3", mechanic="M1").ids == ("J3",)
    assert changed(before, world) == {"J3": {"mechanic": "M1", "status": "in_work"}, "M1": {"hours_free": 1}}
    with pytest.raises(Refused, match="Lena has only 1 hours? left") as refusal:
        run(world, "assign_mechanic", job="J4", mechanic="M1")
    assert refusal.value.error == "no_time"


def test_a_bike_has_one_open_job() -> None:
    world = workshop()
    with pytest.raises(Refused, match="B3 has an open job already"):
        run(world, "open_job", bike="B3", fault="bent wheel", hours=3, due="2026-03-09")
    assert run(world, "open_job", bike="B1", fault="bent wheel", hours=3, due="2026-03-09").lets == {"estimate": 155}
    assert world.tables["job"]["J5"] == {
        "bike": "B1", "mechanic": None, "fault": "bent wheel", "hours": 3, "estimate": 155, "due": "2026-03-09",
        "status": "waiting",
    }  # fmt: skip


def variant(effects: list[dict[str, Any]], **more: Any) -> Application:
    """The workshop with these effects of `finish_job`."""
    content = yaml.safe_load((FOLDER / "bike_workshop.yaml").read_text(encoding="utf-8"))
    content["actions"]["finish_job"] |= {"effects": effects, "require": [], "done": "It is done.", **more}
    return parse(content)


NEW_BIKE = {"owner": "job.bike.owner", "kind": "cargo bike", "color": "'grey'", "frame_size": "50"}
NEW_JOB = {
    "mechanic": "null",
    "fault": "job.fault",
    "hours": "1",
    "estimate": "1",
    "due": "today + 2",
    "status": "paid",
}


def test_what_an_action_makes_can_be_referred_to_by_what_it_makes_next() -> None:
    app = variant([{"create": "bike", "with": NEW_BIKE}, {"set": "job", "to": {"bike": "bike"}}])
    world = World(app, workshop().tables, dict(workshop().numbers))
    outcome = run(world, "finish_job", job="J1")
    assert (outcome.entity, outcome.ids, outcome.created) == ("bike", ("B4",), "B4")
    assert world.tables["bike"]["B4"]["owner"] == "C1" and world.tables["job"]["J1"]["bike"] == "B4"


def test_two_records_made_at_once_are_both_there() -> None:
    content: list[dict[str, Any]] = [
        {"set": "job", "to": {"status": "paid"}},
        {"create": "bike", "with": NEW_BIKE},
    ]
    app = variant([*content, {"create": "customer", "with": {"name": "'Cy'", "phone": "'1'", "balance": "0"}}])
    world = World(app, workshop().tables, dict(workshop().numbers))
    outcome = run(world, "finish_job", job="J1")
    assert (outcome.ids, world.numbers) == (("B4",), {"customer": 4, "bike": 5, "mechanic": 2, "job": 5})
    assert world.tables["customer"]["C3"] == {"name": "Cy", "phone": "1", "balance": 0} and "B4" in world.tables["bike"]


def test_an_effect_on_each_record_is_on_those_that_pass() -> None:
    each = {"each": "job", "where": "each.bike.owner == job.bike.owner", "to": {"due": "each.due + job.hours"}}
    app = variant([{"set": "job", "to": {"status": "paid"}}, each])
    world, before = World(app, workshop().tables, dict(workshop().numbers)), workshop()
    run(world, "finish_job", job="J3")  # of C2, two hours
    due = (date(2026, 3, 5) + timedelta(days=2)).isoformat()
    assert changed(before, world) == {"J2": {"due": due}, "J3": {"status": "paid", "due": due}, "J4": {"due": due}}


def test_values_are_computed_before_any_is_written() -> None:
    """A fault in the last effect leaves nothing of the first; each sees the world as it was."""
    swap = [{"set": "job", "to": {"hours": "job.estimate", "estimate": "job.hours"}}]
    world = World(variant(swap), workshop().tables, dict(workshop().numbers))
    run(world, "finish_job", job="J1")
    assert (world.tables["job"]["J1"]["hours"], world.tables["job"]["J1"]["estimate"]) == (110, 2)
    old = {"parameters": {"old": "ref job"}, "asks": ["a {old}", "b {old}", "c {old}"]}
    for last in (
        {"set": "old.bike.owner", "to": {"balance": "1 / (old.hours - 2)"}},
        {"set": "old.bike", "to": {"kind": "'red'"}},  # no value of the enum
        {"set": "old.bike.owner", "to": {"balance": "null"}},
        {"create": "job", "with": {**NEW_JOB, "fault": "old.fault", "bike": "null"}},
    ):
        app = variant([{"set": "old", "to": {"status": "paid"}}, last], **old)
        world = World(app, workshop().tables, dict(workshop().numbers))
        with pytest.raises(ExpressionError, match="finish_job|old.hours"):
            run(world, "finish_job", old="J1")
        assert (world.tables, world.numbers) == (workshop().tables, workshop().numbers), last


def test_what_refers_to_a_removed_record_is_found() -> None:
    app = variant([{"remove": "job"}])
    world = World(app, workshop().tables, dict(workshop().numbers))
    run(world, "finish_job", job="J1")
    assert "J1" not in world.tables["job"] and world.broken() == ""
    del world.tables["customer"]["C2"]
    assert world.broken() == "owner of B2 is C2, which is not there"


@pytest.mark.parametrize("app", authored().values(), ids=authored())
def test_new_worlds_hold_what_their_file_says(app: Application) -> None:
    world = World.generate(app, 3)
    ids = [key for table in world.tables.values() for key in table]
    assert len(set(ids)) == len(ids)
    for name, entity in app.entities.items():
        assert len(world.tables[name]) == entity.count
        for key, row in world.tables[name].items():
            assert key.startswith(entity.ids) and key[len(entity.ids) :].isdigit() and list(row) == list(entity.fields)
            for field, kind in entity.fields.items():
                value = row[field]
                if value is None:
                    assert kind.nullable
                elif kind.base == "ref":
                    assert value in world.tables[kind.target]
                elif kind.base == "enum":
                    assert value in kind.values
                elif kind.base == "date" and not kind.formula:
                    assert kind.low <= (date.fromisoformat(value) - app.today).days <= kind.high
                elif kind.numeric and not kind.formula:
                    assert kind.low <= value <= kind.high


@pytest.mark.parametrize("app", authored().values(), ids=authored())
def test_random_actions_leave_no_dangling_reference_and_errors_leave_no_trace(app: Application) -> None:
    rng, world, done = Random(app.name), World.generate(app, 1), 0
    for number in range(40):
        action = app.writes[number % len(app.writes)]
        before = copy.deepcopy((world.tables, world.numbers))
        try:
            world.run(action, random_arguments(world, action, rng))
        except Refused as refusal:
            assert refusal.error in {each.error for each in action.requirements} and "{" not in str(refusal)
            assert (world.tables, world.numbers) == before
            continue
        done += 1
        for name, table in world.tables.items():
            for row in table.values():
                assert set(row) == set(app.entities[name].fields)
                for field, kind in app.entities[name].fields.items():
                    if kind.base == "ref" and row[field] is not None:
                        assert row[field] in world.tables[kind.target], (action.name, field)
                    elif kind.base == "enum" and row[field] is not None:
                        assert row[field] in kind.values, (action.name, field)
        json.dumps(world.tables, allow_nan=False)
    assert done >= 5


ELSEWHERE = """
import json
from random import Random
from agents.worlds.reading import authored
from agents.worlds.expression import ExpressionError
from agents.worlds.reach import random_arguments
from agents.worlds.world import Refused, World
hashes = {}
for name, app in authored().items():
    world, rng = World.generate(app, 5), Random(name)
    for action in app.writes:
        try:
            world.run(action, random_arguments(world, action, rng))
        except Refused:
            pass
    hashes[name] = world.state_hash()
print(json.dumps(hashes))
"""


def test_every_process_makes_the_same_worlds() -> None:
    said = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ELSEWHERE]
        said.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert said[0] == said[1]
    hashes = json.loads(said[0])
    assert len(set(hashes.values())) == len(hashes) == len(authored())


def test_worlds_differ_by_seed_and_a_copy_is_a_world_of_its_own() -> None:
    assert World.generate(RAIL, 1).state_hash() == World.generate(RAIL, 1).state_hash()
    assert len({World.generate(RAIL, seed).state_hash() for seed in range(50)}) == 50
    world = railway()
    other = world.copy()
    run(other, "refund_ticket", ticket="TK1")
    assert world.tables == railway().tables and world.state_hash() != other.state_hash()
    generated = World.generate(RAIL, 1)
    generated.tables["train"].clear()
    assert World.generate(RAIL, 1).tables["train"]
