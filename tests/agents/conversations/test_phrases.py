"""Fields and groups of records are said in English, from their names and labels alone."""

from dataclasses import replace

import pytest
import yaml

from agents.conversations.phrases import (
    argument_words,
    be,
    described,
    field_phrase,
    field_words,
    of_record,
    superlative,
)
from agents.conversations.words import FRAMES
from agents.worlds.extras import EXTRAS
from agents.worlds.fields import FieldType
from agents.worlds.reading import authored
from agents.worlds.template import parse_template

TRAIN = authored()["rail_tickets"].entities["train"]
TICKET = authored()["rail_tickets"].entities["ticket"]
BIKE = authored()["bike_workshop"].entities["bike"]


@pytest.mark.parametrize(
    ("made", "said", "many", "right"),
    [
        (TRAIN, {"origin": "Lyon", "destination": "Porto"}, True, ("trains from Lyon to Porto", "")),
        (TRAIN, {"origin": "Lyon"}, False, ("train from Lyon", "")),
        (TRAIN, {"status": "on time", "origin": "Lyon"}, True, ("trains from Lyon", "that are on time")),
        (TRAIN, {"status": "delayed"}, False, ("train", "that is delayed")),
        (TRAIN, {"seats_left": "4"}, True, ("trains", "with 4 seats left")),
        (TRAIN, {"leaves_at": "9 am", "price": "40"}, True, (
            "trains", "whose departure time is 9 am and whose price is 40")),
        (TICKET, {"traveller": "Ada Vos", "seats": "2"}, True, ("tickets of Ada Vos", "with 2 seats")),
        (BIKE, {"owner": "Ada Vos", "color": "red"}, True, ("red bikes of Ada Vos", "")),
        (BIKE, {"owner": "Ada Vos", "kind": "road bike"}, True, ("road bikes of Ada Vos", "")),
    ],
)  # fmt: skip
def test_records_are_described_as_their_label_says(
    made: object, said: dict[str, str], many: bool, right: tuple[str, str]
) -> None:
    assert described(made, said, many=many) == right  # type: ignore[arg-type]


def test_a_label_of_another_form_gives_the_noun_and_clauses() -> None:
    odd = replace(TRAIN, label=parse_template("{origin} to {destination}"))
    assert described(odd, {"origin": "Lyon"}, many=True) == ("trains", "whose origin is Lyon")


@pytest.mark.parametrize(
    ("name", "kind", "phrase"),
    [
        ("departs", "date 0..6", "departure date"),
        ("leaves_at", "time", "departure time"),
        ("birthday", "date -900..-1", "birthday"),
        ("seats_left", "int 0..9", "number of seats left"),
        ("owes", "money 1..9", "debt"),
        ("status", "one of booked, used", "status"),
        ("any_new_name", "int 0..9", "any new name"),
    ],
)
def test_a_field_is_named_as_people_do(name: str, kind: str, phrase: str) -> None:
    assert field_phrase(name, FieldType.parse(kind)) == phrase


def test_what_is_asked_for_of_a_record_is_english() -> None:
    assert of_record("number of seats left", "TK1") == "the number of seats left for TK1"
    assert of_record("price", "TK1") == "the price of TK1"
    assert (be("number of seats left"), be("earnings"), be("status"), be("address")) == ("is", "are", "is", "is")
    assert superlative("departs", TRAIN.fields["departs"], highest=True) == "the latest departure date"
    assert superlative("seats_left", TRAIN.fields["seats_left"], highest=False) == "the fewest seats left"
    assert superlative("price", TRAIN.fields["price"], highest=False) == "the lowest price"
    assert argument_words("seats", FieldType.parse("int 1..4"), "3") == "3 seats"
    assert argument_words("day", FieldType.parse("date 1..4"), "tomorrow") == "tomorrow"
    assert (
        argument_words("travel_class", FieldType.parse("one of first, second"), "first") == "first as the travel class"
    )


def test_every_name_in_the_list_is_a_field_of_some_application() -> None:
    fields: dict[str, set[str]] = {"date": set(), "time": set(), "number": set(), "other": set()}
    entities = [entity for app in authored().values() for entity in app.entities.values()]
    every = [field for entity in entities for field in entity.fields.items()]
    for name, kind in [*every, *((extra.name, extra.type) for extra in EXTRAS)]:
        group = kind.base if kind.base in ("date", "time") else "number" if kind.numeric else "other"
        fields[group].add(name)
        words = field_words(name, kind)
        assert "_" not in words and words == words.strip()
    listed = yaml.safe_load((FRAMES / "fields.yaml").read_text(encoding="utf-8"))
    assert not [name for group, names in listed.items() for name in names if name not in fields[group]]


def test_every_group_of_records_of_the_authored_applications_is_described() -> None:
    for app in authored().values():
        for action in app.actions.values():
            if not action.finds:
                continue
            entity = app.entities[action.finds]
            said = {parameter.name: f"v{number}" for number, parameter in enumerate(action.parameters)}
            noun, clause = described(entity, said, many=True)
            text = f"{noun} {clause}"
            assert "{" not in text and "_" not in text, text
            booleans = [parameter for parameter in action.parameters if parameter.type.base == "bool"]
            assert sum(text.count(value) for value in said.values()) >= len(said) - len(booleans), text
