"""What can go on with what: authored pairs whose types fit, and pairs found by the names of fields."""

from collections import defaultdict
from itertools import islice

from agents.requests.links import Links
from agents.requests.offers import JSON_TYPES, Offer, spec_offer
from agents.requests.results import EACH
from agents.tools.everyday import everyday_tools
from agents.tools.real import google
from stages.tools.__main__ import _specified
from tests.agents.requests.test_results import CREATE, DELETE, GET, LIST


def test_authored_results_fit_the_parameters_that_take_them() -> None:
    tools = {tool.name: tool for tool in everyday_tools()}
    pairs = 0
    for tool in tools.values():
        arguments = {parameter.name: parameter.type for parameter in tool.parameters}
        for name, takes in tool.then.items():
            wanted = {parameter.name: parameter.type for parameter in tools[name].parameters}
            for parameter, source in takes.items():
                kind = tool.returns.get(source) or arguments[source]
                if kind.base in ("formula", "fact"):
                    continue
                given, needed = (JSON_TYPES.get(each.base, "string") for each in (kind, wanted[parameter]))
                item = wanted[parameter].item
                into_list = needed == "array" and item is not None and JSON_TYPES.get(item.base, "string") == given
                assert given == needed or into_list or (given, needed) == ("integer", "number"), (tool.name, name)
            pairs += 1
    assert pairs > 150


def test_the_id_of_what_was_created_or_listed_feeds_what_needs_it() -> None:
    links = Links([], {"botocore/media": [CREATE, GET, DELETE, LIST]})
    found = {(link.before, link.after): link.takes for key in links.after for link in links.after[key]}
    assert found["media_create_stream", "media_get_stream"] == {"streamId": ("streamId",)}
    assert found["media_list_streams", "media_delete_stream"] == {"streamId": ("streams", EACH, "streamId")}
    assert ("media_delete_stream", "media_get_stream") not in found
    assert ("media_get_stream", "media_delete_stream") not in found, "it would only repeat what was said"


def test_a_bare_name_feeds_only_tools_of_the_same_kind_of_record() -> None:
    groups: dict[str, list[Offer]] = defaultdict(list)
    for tool in islice(google(), 400):
        offer = spec_offer(_specified(tool))
        groups[offer.group].append(offer)
    links = [link for own in Links([], groups).after.values() for link in own]
    bare = [link for link in links if list(link.takes) == ["name"]]
    assert len(bare) > 20
    for link in bare:
        path = link.takes["name"]
        noun = path[0].lower().rstrip("s") if EACH in path else link.before.split("_")[-2].rstrip("s")
        assert noun[:4] in link.after.replace("_", "") or noun[:4] in link.before.replace("_", "")
