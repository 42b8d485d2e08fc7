"""Shapes: twenty thousand different tools that do the same as the applications they are made of."""

import json
import re
from collections import Counter
from datetime import date
from random import Random
from typing import Any

import jsonschema
import pytest

from agents.worlds.application import Application, Parameter
from agents.worlds.fields import FieldType, draw
from agents.worlds.reach import random_arguments
from agents.worlds.reading import authored
from agents.worlds.surface import SCALES, SHOWN, Argument, Surface, WorldTool, imperative, plural, shaped, surface
from agents.worlds.world import Refused, World
from stages.tools.__main__ import _of_shape, deduplicate

SHAPES = 24  # tools.shapes of params.yaml
KEPT = [app for app in authored().values() if not app.held]


@pytest.fixture(scope="module")
def surfaces() -> list[Surface]:
    """Of every application, each in two shapes; of seven in all."""
    some = [shaped(app, number) for k, app in enumerate(authored().values()) for number in (0, 1 + k % (SHAPES - 1))]
    return some + [shaped(app, number) for app in KEPT[::10] for number in range(1, SHAPES)]


def test_there_are_twenty_thousand_tools_without_near_duplicates() -> None:
    """Those of every tenth application, thinned out as the stage does it, stand for the others."""
    some = KEPT[::10]
    rows = [row for app in some for number in range(SHAPES) for row in _of_shape(shaped(app, number), "authored", None)]
    assert len(rows) == SHAPES * sum(len(app.actions) for app in some)
    kept, dropped = deduplicate(rows, 0.9)
    assert len(kept) + dropped == len(rows)
    assert SHAPES * sum(len(app.actions) for app in KEPT) * len(kept) / len(rows) >= 20_000
    named = Counter((row["application"], row["name"]) for row in rows)
    assert named.most_common(1)[0][1] == 1


def test_names_are_unique_within_a_shape_and_shapes_within_an_application(surfaces: list[Surface]) -> None:
    for each in surfaces:
        assert set(each.by_action) == set(each.app.actions) and len(each.tools) == len(each.by_action)
        for name in each.tools:
            assert re.fullmatch(r"[a-zA-Z0-9_.-]{3,64}", name), name
    names = Counter(each.name for app in KEPT[:3] for each in (shaped(app, number) for number in range(SHAPES)))
    assert set(names.values()) == {1}


def test_declarations_are_valid_schemas_of_which_every_argument_counts(surfaces: list[Surface]) -> None:
    for k, each in enumerate(surfaces):
        for number, tool in enumerate(each.tools.values()):
            function = tool.declaration()["function"]
            assert json.loads(json.dumps(function)) == function
            schema = function["parameters"]
            if (k + number) % 17 == 0:  # the check is slow
                jsonschema.Draft202012Validator.check_schema(schema)
                jsonschema.Draft202012Validator.check_schema(each.returns(tool))
            inside = schema["properties"].get(tool.group, {}).get("properties", {}) if tool.group else {}
            names = [*schema["properties"], *inside]
            assert len(names) - bool(tool.group) == len(tool.action.parameters) == len(tool.arguments), tool.name
            required = {*schema["required"], *(schema["properties"].get(tool.group, {}).get("required", []))} - {
                tool.group
            }
            wanted = {a.name for a in tool.arguments if not a.parameter.optional}
            assert required == wanted and schema["additionalProperties"] is False


def test_shapes_differ_in_names_words_units_and_forms() -> None:
    some = [shaped(app, number) for app in KEPT[::6] for number in range(1, SHAPES)]
    tools = [tool for each in some for tool in each.tools.values()]
    styles = {
        "snake": r"[a-z]+(_[a-z0-9]+)+", "camel": r"[a-z]+([A-Z][a-z0-9]*)+", "dotted": r"[a-z]+\.[a-z0-9_]+",
        "kebab": r"[a-z]+(-[a-z0-9]+)+",
    }  # fmt: skip
    for style, pattern in styles.items():
        assert sum(bool(re.fullmatch(pattern, tool.name)) for tool in tools) > 0.05 * len(tools), style
    assert sum(bool(tool.group) for tool in tools) > 20
    assert sum(argument.scale > 1 for tool in tools for argument in tool.arguments) > 20
    extra = [a for tool in tools for a in tool.arguments if a.parameter.name in ("note", "tags", "priority", "channel")]
    assert extra and all(argument.parameter.optional for argument in extra)


def test_descriptions_have_three_registers() -> None:
    app = authored()["rail_tickets"]
    by_register: dict[str, str] = {}
    for number in range(SHAPES):
        text = shaped(app, number).by_action["refund_ticket"].description
        kind = "long" if "May fail: not refundable." in text and "Also returns refund." in text else "short"
        by_register.setdefault("plain" if text.startswith("Takes a") and kind == "short" else kind, text)
    shown = {shaped(app, number).by_action["get_ticket"].description.split()[0] for number in range(SHAPES)}
    assert {
        "Shows",
        "Show",
        "Use",
    } <= shown  # `Shows one ticket.`, `Show one ticket`, `Use this at … to show one ticket.`
    assert set(by_register) == {"plain", "long"}  # a sentence with two verbs keeps its form
    assert len({shaped(app, number).by_action["get_ticket"].description for number in range(SHAPES)}) >= 6


def test_shape_zero_is_the_application_as_it_is_written() -> None:
    for app in KEPT:
        each = surface(app.name, 0)
        assert list(each.tools) == list(app.actions) and each.app is app and each.name == app.name
        assert [tool.description for tool in each.tools.values()] == [action.does for action in app.actions.values()]
    with pytest.raises(KeyError):
        surface("no_such_desk", 0)


def test_a_shape_is_made_again_alike() -> None:
    for number in (1, 7, 23):
        first, second = shaped(KEPT[3], number), shaped(KEPT[3], number)
        assert [t.declaration() for t in first.tools.values()] == [t.declaration() for t in second.tools.values()]


KINDS = [
    "int 1..9", "int 1..9 hours", "int 1..9 days", "int 1..90 minutes", "int 5..60 km", "int 1..20 liters",
    "int 50..190 cm", "number 0.5..30", "number 0.5..30 kg", "number 0.5..9 hours", "number 0.1..1.5 liters",
    "money 18..140", "money 0..9", "date 2..40", "date -9..-1", "time", "bool", "text", "email", "phone",
    "one of on hand, sold_out", "list of tag", "person",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", ["", "details"])
@pytest.mark.parametrize("other_unit", [False, True])
def test_what_is_written_is_read_back(kind: str, group: str, other_unit: bool) -> None:
    made, action = FieldType.parse(kind), authored()["rail_tickets"].actions["refund_ticket"]
    unit = "euros" if made.base == "money" else made.unit
    scale = SCALES[unit][1] if other_unit and unit in SCALES else 1
    arguments = (
        Argument("ticketId", Parameter("ticket", FieldType("ref", target="ticket")), "id"),
        Argument("theValue", Parameter("value", made), "the value", unit, scale),
        Argument("theOther", Parameter("other", made, optional=True), "another", unit, scale),
    )
    tool = WorldTool("refundTicket", action, "Refunds.", arguments, group)
    rng, schema = Random(kind), jsonschema.Draft202012Validator(tool.parameters)
    for number in range(60):
        stored: dict[str, Any] = {"ticket": "TK1", "value": draw(made, rng, date(2026, 5, 11))}
        if number % 2:
            stored["other"] = draw(made, rng, date(2026, 5, 11))
        written = tool.written(stored)
        schema.validate(written)
        assert tool.read(json.loads(json.dumps(written))) == stored
        inner = written[group] if group else written
        assert written["ticketId"] == "TK1" and ("theOther" in inner) == bool(number % 2)
        if scale > 1:
            assert inner["theValue"] == round(stored["value"] * scale) and isinstance(inner["theValue"], int)


def test_units_groups_and_case_as_a_model_sees_them() -> None:
    app = authored()["rail_tickets"]
    camel = next(
        s for s in (shaped(app, k) for k in range(1, 60)) if any("bookT" in name or "buyT" in name for name in s.tools)
    )
    assert all("_" not in argument.name for tool in camel.tools.values() for argument in tool.arguments)
    tool = surface("bike_workshop", 0).by_action["open_job"]
    hours = Argument("hours_minutes", tool.action.parameter("hours"), "in minutes", "minutes", 60)
    cents = Argument("credit_cents", Parameter("credit", FieldType.parse("money 1..9")), "", "cents", 100)
    made = WorldTool("open-job", tool.action, "", (tool.arguments[0], hours, cents), "data")
    assert made.written({"bike": "B1", "hours": 2, "credit": 4.35}) == {
        "bike_id": "B1", "data": {"hours_minutes": 120, "credit_cents": 435},
    }  # fmt: skip
    assert made.read({"bike_id": "B1", "data": {"hours_minutes": 60, "credit_cents": 5}}) == {
        "bike": "B1", "hours": 1, "credit": 0.05,
    }  # fmt: skip
    with pytest.raises(ValueError, match="hours_minutes must be a multiple of 60, not 90"):
        made.read({"bike_id": "B1", "data": {"hours_minutes": 90, "credit_cents": 5}})
    with pytest.raises(ValueError, match="credit_cents is too large"):
        made.read({"bike_id": "B1", "data": {"hours_minutes": 60, "credit_cents": 10**300}})
    with pytest.raises(ValueError, match="due must be a day written YYYY-MM-DD, not '2026-02-30'"):
        tool.read({"bike_id": "B1", "fault": "flat tyre", "hours": 1, "due": "2026-02-30"})


def _base(app: Application, world: World) -> World:
    """The world as the application without further fields holds it."""
    tables = {
        name: {key: {field: row[field] for field in app.entities[name].fields} for key, row in table.items()}
        for name, table in world.tables.items()
    }
    return World(app, tables, dict(world.numbers))


@pytest.mark.parametrize("app", list(authored().values())[::2], ids=list(authored())[::2])
def test_an_action_does_the_same_through_every_shape(app: Application) -> None:
    done = 0
    for number in (1, 2, 3):
        shape, rng = shaped(app, number), Random(f"{app.name}{number}")
        world = World.generate(shape.app, number)
        for action in app.writes:
            tool, arguments = shape.by_action[action.name], random_arguments(world, action, rng)
            plain = _base(app, world)
            jsonschema.Draft202012Validator(tool.parameters).validate(tool.written(arguments))
            assert tool.read(tool.written(arguments)) == arguments
            try:
                wanted = plain.run(action, arguments)
            except Refused as refusal:
                with pytest.raises(Refused, match=re.escape(str(refusal))):
                    world.run(tool.action, tool.read(tool.written(arguments)))
                continue
            outcome = world.run(tool.action, tool.read(tool.written(arguments)))
            assert (outcome.entity, outcome.ids, outcome.lets) == (wanted.entity, wanted.ids, wanted.lets)
            assert _base(app, world).tables == plain.tables
            jsonschema.Draft202012Validator(shape.returns(tool)).validate(shape.shown(world, tool, outcome))
            done += 1
    assert done >= 2


def test_a_further_field_is_kept_and_shown() -> None:
    for number in range(1, SHAPES):
        shape = shaped(authored()["rail_tickets"], number)
        tool = shape.by_action["book_ticket"]
        extra = [p for p in tool.action.parameters if p.name not in ("traveller", "train", "seats", "travel_class")]
        world = World.generate(shape.app, 1)
        train = next(k for k, r in world.tables["train"].items() if r["seats_left"] and r["status"] != "cancelled")
        values = {p.name: draw(p.type, Random(1), shape.app.today) for p in extra}
        stored = {"traveller": next(iter(world.tables["traveller"])), "train": train, "seats": 1, **values}
        shown = shape.shown(world, tool, world.run(tool.action, tool.read(tool.written(stored))))
        assert {name: shown[name] for name in values} == values
        if values:
            break
    else:
        raise AssertionError("no shape has a further field")


def test_a_search_shows_so_many_and_tells_how_many_there_are() -> None:
    shape = surface("rail_tickets", 0)
    world = World.generate(shape.app, 1)
    row = next(iter(world.tables["traveller"].values()))
    world.tables["traveller"] = {f"TV{k}": dict(row) for k in range(SHOWN + 5)}
    tool = shape.by_action["find_traveller"]
    shown = shape.shown(world, tool, world.run(tool.action, {}))
    assert (len(shown["travellers"]), shown["count"], shown["more"]) == (SHOWN, SHOWN + 5, 5)
    assert shown["travellers"][0] == {"id": "TV0", **row}


def test_nothing_of_a_held_application_is_among_the_tools_of_training() -> None:
    from stages.tools.__main__ import _synthetic

    class Params:
        shapes = 2

    rows = list(_synthetic(Params(), [], []))  # type: ignore[arg-type]
    made = {json.loads(row["state_model"])["application"] for row in rows}
    assert made == {app.name for app in KEPT}
    assert len(rows) == 2 * sum(len(app.actions) for app in KEPT)
    held = [app for app in authored().values() if app.held]
    sentences = {action.does for app in held for action in app.actions.values()}
    assert not sentences & {row["description"] for row in rows}


@pytest.mark.parametrize(
    ("noun", "many"),
    [("family", "families"), ("day", "days"), ("bus", "buses"), ("box", "boxes"), ("batch", "batches")],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


@pytest.mark.parametrize(
    ("verb", "base"),
    [("Books", "book"), ("Carries", "carry"), ("Matches", "match"), ("Goes", "go"), ("Passes", "pass"),
     ("Fixes", "fix"), ("All", "")],
)  # fmt: skip
def test_imperatives(verb: str, base: str) -> None:
    assert imperative(verb) == base
