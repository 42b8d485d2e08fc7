"""Tools as conversations declare them: whatever a server declares can be asked for."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import jsonschema
import pytest

from agents.requests.conversation import Requests
from agents.requests.offers import act_of, act_of_name, spec_offer
from agents.requests.schemas import draw_by_schema, inline
from agents.requests.wording import Speech, request
from agents.tools.everyday import everyday_tools
from tests.agents.requests.conftest import MIX

ADDRESS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "zip": {"type": "string", "pattern": r"^\d{5}(-[A-Z]{2})?$"}},
    "required": ["city", "zip"],
}
INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"$ref": "#/$defs/Customer"},
        "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 5000},
        "due": {"type": "string", "format": "date"},
        "currency": {"enum": ["EUR", "USD"]},
        "copies": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "note": {"anyOf": [{"type": "string", "minLength": 20, "maxLength": 40}, {"type": "null"}]},
        "lines": {"type": "array", "minItems": 2, "items": {"allOf": [{"$ref": "#/$defs/Line"}]}},
    },
    "$defs": {
        "Customer": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/Address"}},
            "required": ["name", "address"],
        },
        "Address": ADDRESS,
        "Line": {
            "type": "object",
            "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}, "count": {"type": "integer"}},
            "required": ["sku", "count"],
        },
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
    },
}
INVOICE["required"] = list(INVOICE["properties"])


def row(
    name: str, parameters: dict[str, Any], description: str = "", returns: str = '{"type": "object"}'
) -> dict[str, str]:
    return {
        "name": name,
        "application": "books",
        "source": "mcp",
        "description": description,
        "parameters": json.dumps(parameters),
        "returns": returns,
        "state_model": "",
    }


NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
ONE = {"type": "object", "properties": {"invoice_id": {"type": "string"}}, "required": ["invoice_id"]}
SERVER = [
    row("send_invoice", INVOICE),
    row("get_invoice", ONE, "Use this when an invoice is to be read."),
    row("current_time", NOTHING),
    row("invoices.purge", NOTHING, "WARNING: removes everything!"),
    row("cancelInvoice", ONE, "Cancels an invoice."),
]


def test_values_are_valid_under_nested_schemas_with_references_and_patterns() -> None:
    plain = inline(INVOICE)
    rng = Random(3)
    for _ in range(200):
        jsonschema.validate(draw_by_schema("invoice", plain, rng), INVOICE)


def test_a_schema_that_contains_itself_ends() -> None:
    assert inline({"$ref": "#/$defs/Node", "$defs": INVOICE["$defs"]})["type"] == "object"


def test_every_tool_of_a_server_is_asked_for_and_called_with_what_its_schema_allows() -> None:
    mix = replace(MIX, everyday=0.2, library=0, service=0, mcp=0.8)
    requests = Requests(everyday_tools(), SERVER, mix, 2)
    schemas = {each["name"]: json.loads(each["parameters"]) for each in SERVER}
    called = set()
    for made in map(requests.make, range(150)):
        for name, arguments in made.gold:
            if name in schemas:
                called.add(name)
                jsonschema.validate(arguments, schemas[name])
    assert called == set(schemas)


def test_a_request_says_all_values_of_nested_arguments() -> None:
    offer = spec_offer(SERVER[0])
    for seed in range(40):
        rng = Random(seed)
        drawn = {asked.name: asked.draw(rng) for asked in offer.parameters}
        text = request(Speech(offer, {name: said for name, (said, _) in drawn.items()}, {}), rng)
        _, customer = drawn["customer"]
        _, lines = drawn["lines"]
        assert customer["address"]["zip"] in text and customer["name"] in text
        assert all(line["sku"] in text for line in lines)


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("send_invoice", "send the invoice"),
        ("invoices.list", "list the invoices"),
        ("currentTime", "get the current time"),
        ("books_delete_invoice", "delete the invoice"),
    ],
)
def test_what_a_tool_does_is_read_from_its_name_where_nothing_else_says_it(name: str, act: str) -> None:
    assert act_of_name(name, "books") == act


def test_what_a_tool_does_is_the_first_sentence_in_the_imperative() -> None:
    assert act_of("Creates and starts a job. It runs at once.") == "create and start a job"
    assert act_of("This operation creates a job.") is None
    assert act_of("Gets " + "very " * 12 + "long lists of items, which are sorted, for the user") is not None
