"""Finding the record that somebody speaks of, with tools alone: by searching, comparing, and remembering."""

from typing import Any

import pytest

from agents.conversations.facts import Best, Facts, Reference, facts_of
from agents.conversations.finding import Call, Finder, NotFound, Row, Search, rows_of
from agents.worlds.surface import surface
from agents.worlds.world import Refused, World

RAIL = surface("rail_tickets", 0)
ALL = tuple(RAIL.app.actions)


def world() -> World:
    train = {"origin": "Lyon", "leaves_at": "09:00", "status": "on_time"}
    ticket = {"seats": 1, "travel_class": "second", "status": "booked"}
    return World(
        RAIL.app,
        {
            "traveller": {
                "TV1": {"name": "Ada Vos", "email": "ada@vos.example", "points": 120},
                "TV2": {"name": "Bo Lind", "email": "bo@lind.example", "points": 20},
                "TV3": {"name": "Bo Lind", "email": "lind@bo.example", "points": 5},
            },
            "train": {
                "IC1": {**train, "destination": "Porto", "departs": "2026-05-13", "seats_left": 4, "price": 40},
                "IC2": {**train, "destination": "Porto", "departs": "2026-05-14", "seats_left": 1, "price": 25},
                "IC3": {**train, "destination": "Prague", "departs": "2026-05-13", "seats_left": 1, "price": 25},
            },
            "ticket": {
                "TK1": {**ticket, "traveller": "TV1", "train": "IC1", "paid": 40},
                "TK2": {**ticket, "traveller": "TV1", "train": "IC2", "paid": 25},
                "TK3": {**ticket, "traveller": "TV1", "train": "IC3", "paid": 25, "status": "used"},
            },
        },
        {"traveller": 4, "train": 4, "ticket": 4},
    )


def search(finder: Finder, coroutine: Search[Any]) -> tuple[Any, list[list[Call]]]:
    """(what is returned, the calls of each step), with tools that do what a world does."""
    steps: list[list[Call]] = []
    here, results = world(), None
    try:
        while True:
            steps.append(next(coroutine) if results is None else coroutine.send(results))
            results = []
            for call in steps[-1]:
                tool = RAIL.by_action[call.action]
                try:
                    results.append(RAIL.shown(here, tool, here.run(tool.action, call.arguments)))
                except Refused as refusal:
                    results.append({"error": refusal.error})
                finder.note(call, results[-1])
    except StopIteration as end:
        return end.value, steps


def made(steps: list[list[Call]]) -> list[list[tuple[str, dict[str, Any]]]]:
    return [[(call.action, dict(call.arguments)) for call in step] for step in steps]


def reference(key: str, entity: str = "ticket", text: str = "it") -> Reference:
    return Reference("label", entity, key, text, facts_of(world(), entity, key))


def test_what_a_label_tells_is_a_tree_of_facts() -> None:
    facts = facts_of(world(), "ticket", "TK2")
    assert facts == Facts(
        "ticket",
        {},
        {
            "traveller": Facts("traveller", {"name": "Ada Vos"}),
            "train": Facts("train", {"origin": "Lyon", "destination": "Porto", "departs": "2026-05-14"}),
        },
    )


def test_a_record_is_found_through_those_that_it_refers_to() -> None:
    finder = Finder(RAIL.app, ALL, together=False)
    key, steps = search(finder, finder.reference(reference("TK2")))
    assert key == "TK2"
    assert made(steps) == [
        [("find_traveller", {"name": "Ada Vos"})],
        [("list_tickets", {"traveller": "TV1"})],
        [("search_trains", {"origin": "Lyon", "destination": "Porto", "departs": "2026-05-14"})],
    ]
    assert {*finder.seen} >= {"TV1", "TK1", "TK2", "IC2"} and finder.seen["TK2"]["paid"] == 25


def test_searches_at_once_are_one_step_and_equal_ones_one_call() -> None:
    both = {"train": reference("IC1", "train"), "traveller": reference("TV1", "traveller")}
    for together, lengths in ((False, [1, 1]), (True, [2])):
        finder = Finder(RAIL.app, ALL, together=together)
        ids, steps = search(finder, finder.references(both))
        assert ids == {"train": "IC1", "traveller": "TV1"} and [len(step) for step in steps] == lengths
    finder = Finder(RAIL.app, ALL, together=True)
    ids, steps = search(finder, finder.references({"one": reference("TK1"), "other": reference("TK2")}))
    assert ids == {"one": "TK1", "other": "TK2"} and [len(step) for step in steps] == [1, 1, 2]


@pytest.mark.parametrize(
    ("allowed", "wanted", "count"),
    [
        (ALL, Reference("label", "traveller", "TV2", "Bo", Facts("traveller", {"name": "Bo Lind"})), 2),
        (ALL, Reference("label", "traveller", "TV9", "Cy", Facts("traveller", {"name": "Cy"})), 0),
        (("get_ticket",), reference("TK1"), 0),
        (("list_tickets", "get_ticket"), reference("TK1"), 0),  # the traveller's id can't be found
        (ALL, Reference("that", "ticket", "TK1", "that one", goal=0), 0),
    ],
)
def test_what_cant_be_told_is_not_guessed(allowed: tuple[str, ...], wanted: Reference, count: int) -> None:
    finder = Finder(RAIL.app, allowed, together=False)
    with pytest.raises(NotFound) as lost:
        search(finder, finder.reference(wanted))
    assert (lost.value.about, lost.value.count) == (wanted.text, count)


@pytest.mark.parametrize(
    ("field", "highest", "values", "wanted"),
    [
        ("price", True, {"origin": "Lyon", "destination": "Porto"}, "IC1"),
        ("price", False, {"origin": "Lyon", "destination": "Porto"}, "IC2"),
        ("departs", True, {"origin": "Lyon", "destination": "Porto"}, "IC2"),
        ("leaves_at", True, {"origin": "Lyon", "destination": "Porto"}, None),  # two leave at nine
        ("price", True, {"origin": "Lyon", "destination": "Oslo"}, None),
    ],
)
def test_the_dearest_and_the_earliest_are_compared(
    field: str, highest: bool, values: dict[str, Any], wanted: str | None
) -> None:
    best = Best("search_trains", values, {}, field, highest)
    finder = Finder(RAIL.app, ALL, together=False)
    spoken = Reference("best", "train", "?", "the one", best=best)
    if wanted is None:
        with pytest.raises(NotFound):
            search(finder, finder.reference(spoken))
    else:
        assert search(finder, finder.reference(spoken))[0] == wanted


def test_the_best_of_somebodys_records_needs_him_first() -> None:
    best = Best("list_tickets", {"status": "booked"}, {"traveller": reference("TV1", "traveller")}, "paid", False)
    finder = Finder(RAIL.app, ALL, together=False)
    key, steps = search(finder, finder.reference(Reference("best", "ticket", "TK2", "the cheapest", best=best)))
    assert key == "TK2" and made(steps)[1] == [("list_tickets", {"status": "booked", "traveller": "TV1"})]


def test_an_id_and_what_was_made_before_need_no_search() -> None:
    finder = Finder(RAIL.app, ALL, together=False)
    assert search(finder, finder.reference(Reference("id", "ticket", "TK2", "TK2"))) == ("TK2", [])
    finder.made[0] = "TK3"
    assert search(finder, finder.reference(Reference("that", "ticket", "TK3", "that", goal=0))) == ("TK3", [])


def test_what_was_seen_is_not_read_again_and_reading_is_remembered() -> None:
    finder = Finder(RAIL.app, ALL, together=False)
    row, steps = search(finder, finder.show("ticket", "TK1", "it"))
    assert (row["paid"], made(steps)) == (40, [[("get_ticket", {"ticket": "TK1"})]])
    assert search(finder, finder.show("ticket", "TK1", "it"))[1] == []
    assert finder.read == {("get_ticket", "TK1")}
    with pytest.raises(NotFound):
        search(finder, finder.show("ticket", "TK9", "it"))
    assert finder.shower("traveller", "TV1", "look") is None  # no tool shows one by its id


def test_rows_of_a_result() -> None:
    rows: list[Row] = [{"id": "A"}]
    assert rows_of({"trains": rows, "count": 1}) == rows and rows_of({"error": "x"}) == []
