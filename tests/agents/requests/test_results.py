"""Results: valid under the tool's own schema, and one story within a conversation."""

import json
from collections.abc import Mapping
from itertools import islice
from random import Random
from typing import Any

import jsonschema
import pytest

from agents.requests.offers import Offer, everyday_offer, spec_offer
from agents.requests.results import EACH, Simulator, values_at
from agents.requests.wanted import want
from agents.tools.everyday import everyday_tools
from agents.tools.real import RealTool, aws, google, sample
from stages.tools.__main__ import _specified

STREAM = {"type": "object", "properties": {"streamId": {"type": "string"}, "title": {"type": "string"}}}
STREAM["required"] = ["streamId", "title"]


def tool(name: str, parameters: Mapping[str, Any], returns: Mapping[str, Any], description: str = "") -> Offer:
    """A service operation with these required parameters."""
    schema = {"type": "object", "properties": dict(parameters), "required": list(parameters)}
    row = {"name": name, "application": "media", "source": "botocore", "description": description}
    return spec_offer(row | {"parameters": json.dumps(schema), "returns": json.dumps(returns), "state_model": ""})


TEXT = {"type": "string"}
CREATE = tool("media_create_stream", {"title": TEXT}, STREAM, "Creates a stream.")
GET = tool("media_get_stream", {"streamId": TEXT}, STREAM, "Gets a stream.")
DELETE = tool("media_delete_stream", {"streamId": TEXT}, {"type": "object"}, "Deletes a stream.")
UPDATE = tool("media_update_stream", {"streamId": TEXT, "title": TEXT}, STREAM, "Updates a stream.")
STREAMS = {"type": "object", "properties": {"streams": {"type": "array", "items": STREAM}}, "required": ["streams"]}
LIST = tool("media_list_streams", {}, STREAMS, "Lists streams.")


def _check(tools: list[RealTool]) -> None:
    rng = Random(1)
    for real in tools:
        offer = spec_offer(_specified(real))
        result = Simulator(3).call(offer, want(offer, rng).arguments)
        errors = list(jsonschema.Draft202012Validator(real.returns).iter_errors(result))
        assert not errors, f"{real.name}: {errors[0].message}"
        assert len(json.dumps(result)) < 6000, real.name


def test_results_of_services_are_valid_under_their_schemas_and_short() -> None:
    _check([*islice(aws(), 700), *islice(google(), 500)])


@pytest.mark.slow
def test_results_of_all_services_are_valid_under_their_schemas() -> None:
    _check(sample(3200))


def test_results_of_everyday_tools_are_of_the_types_that_they_name() -> None:
    rng = Random(2)
    for authored in everyday_tools():
        for seed in range(6):
            offer = everyday_offer(authored, rng)
            result = Simulator(seed).call(offer, want(offer, rng).arguments)
            for record in values_at(result, ("", EACH)) if authored.verb == "find" else [result]:
                jsonschema.validate(record, offer.returns)


def test_the_same_call_has_the_same_result_and_an_argument_comes_back_as_it_was_given() -> None:
    simulator = Simulator(1)
    first = simulator.call(CREATE, {"title": "evening news"})
    assert first["title"] == "evening news"
    assert simulator.call(GET, {"streamId": "s-1"}) == simulator.call(GET, {"streamId": "s-1"})
    assert simulator.call(GET, {"streamId": "s-1"})["streamId"] == "s-1"


def test_what_was_created_is_got_and_listed() -> None:
    simulator = Simulator(1)
    created = simulator.call(CREATE, {"title": "evening news"})
    assert simulator.call(GET, {"streamId": created["streamId"]}) == created
    assert created in simulator.call(LIST, {})["streams"]


def test_an_update_is_seen_later() -> None:
    simulator = Simulator(1)
    created = simulator.call(CREATE, {"title": "evening news"})
    simulator.call(UPDATE, {"streamId": created["streamId"], "title": "late news"})
    assert simulator.call(GET, {"streamId": created["streamId"]})["title"] == "late news"


def test_what_was_deleted_is_not_found_and_not_listed() -> None:
    simulator = Simulator(1)
    created = simulator.call(CREATE, {"title": "evening news"})
    simulator.call(DELETE, {"streamId": created["streamId"]})
    gone = simulator.call(GET, {"streamId": created["streamId"]})
    assert list(gone) == ["error"] and created["streamId"] in gone["error"]
    assert created not in simulator.call(LIST, {})["streams"]


def test_a_listed_record_is_the_same_when_it_is_got() -> None:
    simulator = Simulator(1)
    for entry in simulator.call(LIST, {})["streams"]:
        assert simulator.call(GET, {"streamId": entry["streamId"]}) == entry


def test_what_is_needed_stands_in_the_result() -> None:
    optional = {"type": "object", "properties": {name: TEXT for name in "abcdefghijkl"}}
    many = tool("media_list_cuts", {}, {"type": "object", "properties": {"cuts": {"type": "array", "items": optional}}})
    for seed in range(20):
        result = Simulator(seed).call(many, {}, [("cuts", EACH, "l")], 3)
        assert len(values_at(result, ("cuts", EACH, "l"))) >= 3


def test_figures_are_computed_where_the_tool_says_how() -> None:
    rng = Random(4)
    area = next(tool for tool in everyday_tools() if tool.name == "triangle_area")
    offer = everyday_offer(area, rng)
    wanted = want(offer, rng)
    given = {asked.stem: wanted.arguments[asked.name] for asked in offer.parameters if asked.name in wanted.arguments}
    result = Simulator(1).call(offer, wanted.arguments)
    assert result["area"] == pytest.approx(given["base"] * given["height"] / 2, rel=1e-2)


def test_a_search_keeps_the_bounds_that_were_asked_for() -> None:
    rng = Random(5)
    hotels = next(tool for tool in everyday_tools() if tool.name == "hotel_offers")
    bounded = 0
    for seed in range(60):
        offer = everyday_offer(hotels, rng)
        wanted = want(offer, rng)
        most = next((wanted.arguments.get(asked.name) for asked in offer.parameters if asked.stem == "max_price"), None)
        rates = values_at(Simulator(seed).call(offer, wanted.arguments), ("", EACH, "nightly_rate"))
        if most is not None:
            bounded += 1
            assert all(rate <= max(most, 45) for rate in rates)
    assert bounded > 10
