"""Which tool can go on with what another one returned: authored (`then` of everyday tools), or by names of fields.

A field of a result feeds a required parameter of a tool of the same group when they have one name, or when the field is
the id, name, … of what the parameter's name speaks of: `streams[].id` feeds `streamId`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from agents.requests.offers import VERBS, Offer
from agents.requests.results import EACH, NAMING, PAGING, Path, plain
from agents.requests.schemas import Schema
from agents.requests.values import words
from agents.tools.everyday import EverydayTool

GENERIC = frozenset("id name arn identifier key url uri code".split())
MUTE = frozenset("status state type description message region count version etag kind clienttoken tags".split())
FAILED = re.compile("error|fail|unprocessed|invalid")
SAME_TYPE = 3  # of library functions that take another one's result: as many for each


@dataclass(frozen=True)
class Link:
    """before, after: keys of the tools. takes: for parameters of the second tool where in the first one's result the
    value stands. repeats: for others, the argument of the first call that they repeat."""

    before: str
    after: str
    takes: Mapping[str, Path]
    repeats: Mapping[str, str]

    @property
    def listed(self) -> bool:
        return any(EACH in path for path in self.takes.values())


class Links:
    """Those of all tools: `after` by the key of what comes first, `before` by the key of what goes on."""

    def __init__(self, everyday: Sequence[EverydayTool], groups: Mapping[str, Sequence[Offer]]) -> None:
        self.after: dict[str, list[Link]] = defaultdict(list)
        self.before: dict[str, list[Link]] = defaultdict(list)
        by_name = {tool.name: tool for tool in everyday}
        for tool in everyday:
            for name, takes in tool.then.items():
                if name in by_name:
                    self._add(_authored(tool, by_name[name], takes))
        for group, offers in groups.items():
            found = _of_library(offers) if group.startswith("python/") else _of_group(offers)
            for link in found:
                self._add(link)

    def _add(self, link: Link) -> None:
        self.after[link.before].append(link)
        self.before[link.after].append(link)


def _authored(tool: EverydayTool, other: EverydayTool, takes: Mapping[str, str]) -> Link:
    start = ("", EACH) if tool.verb == "find" else ()
    required = {parameter.name for parameter in other.parameters if not parameter.optional}
    fields = {parameter: (*start, source) for parameter, source in takes.items() if source in tool.returns}
    repeats = {p: source for p, source in takes.items() if source not in tool.returns and p in required}
    return Link(tool.key, other.key, fields, repeats)


def _of_group(offers: Sequence[Offer]) -> Iterator[Link]:
    """Links within a service or a server."""
    for first in offers:
        if first.action == "delete":
            continue
        leaves = list(_leaves(first.returns))
        for second in offers:
            if first is second:
                continue
            takes: dict[str, Path] = {}
            own = {plain(asked.name) for asked in first.parameters}
            for asked in second.parameters:
                if not asked.required or asked.schema["type"] != "string" or asked.schema.get("enum"):
                    continue
                path = next((path for path, noun in leaves if _feeds(path, noun, asked.name, first, second)), None)
                if path is not None and plain(asked.name) not in own and plain(path[-1]) not in own:
                    takes[asked.name] = path  # what the first call was given itself is nothing new
            listed = {path[:-1] for path in takes.values()}
            if takes and len(listed) == 1:  # of one record
                yield Link(first.key, second.key, takes, _repeats(first, second, takes))


def _repeats(first: Offer, second: Offer, takes: Mapping[str, Path]) -> dict[str, str]:
    """What both calls hold by the same name, where it names what the record belongs to, not the record itself."""
    names = {(plain(asked.name), asked.schema["type"]): asked.name for asked in first.parameters if asked.required}
    repeats = {}
    for asked in second.parameters:
        name = plain(asked.name)
        own = name in GENERIC or "token" in name or (second.action == "create" and _noun(second) in name)
        before = names.get((name, asked.schema["type"]))
        if asked.required and asked.name not in takes and before is not None and NAMING.search(name) and not own:
            repeats[asked.name] = before
    return repeats


def _leaves(schema: Schema) -> Iterator[tuple[Path, str]]:
    """(path, noun of the record) of strings in a result: at the top, in an object, in entries of its only list."""
    fields = {name: own for name, own in (schema.get("properties") or {}).items() if not PAGING.search(name)}
    single = sum(own["type"] == "array" for own in fields.values()) == 1  # else `the second one` could be of any
    for name, own in fields.items():
        kind = own["type"]
        if kind == "string":
            yield (name,), ""
        elif kind == "object":
            inner = own.get("properties") or {}
            yield from (((name, key), plain(name)) for key, leaf in inner.items() if leaf.get("type") == "string")
        elif kind == "array" and single:
            items, noun = own["items"], plain(name).removesuffix("list").removesuffix("s")
            if items.get("type") == "string":
                yield (name, EACH), noun
            inner = items.get("properties") or {}
            yield from (((name, EACH, key), noun) for key, leaf in inner.items() if leaf.get("type") == "string")


def _feeds(path: Path, noun: str, parameter: str, first: Offer, second: Offer) -> bool:
    field = noun if path[-1] == EACH else plain(path[-1])
    wanted = plain(parameter)
    if FAILED.search(noun) or (second.action == "create" and _noun(second) in wanted):
        return False  # what failed, or the name of what is still to be created
    if field in MUTE or wanted in MUTE or len(wanted) < 2:
        return False
    if field in GENERIC:
        about = noun or _noun(first)
        if wanted == field:  # a bare `id` or `name` is that of the tool's own kind of record
            return bool(about) and (about == _noun(second) or _noun(first) == _noun(second))
        return wanted == about + field
    return field == wanted


def _noun(offer: Offer) -> str:
    """The kind of record that a tool is about: the last noun of its name, `s3_get_bucket` → `bucket`."""
    rest = [part for part in words(offer.name).split() if part not in VERBS]
    return rest[-1].removesuffix("s") if rest else ""


def _of_library(offers: Sequence[Offer]) -> Iterator[Link]:
    """Functions that return a number, an array or a text, and those that need just one of it."""
    takers: dict[str, list[tuple[Offer, str]]] = defaultdict(list)
    for offer in offers:
        required = [asked for asked in offer.parameters if asked.required]
        if len(required) == 1 and offer.worded:
            schema = required[0].schema
            plain_items = schema["type"] != "array" or schema["items"]["type"] == "number"
            if plain_items and schema["type"] in ("number", "array") and not schema.get("enum"):
                takers[schema["type"]].append((offer, required[0].name))
    for offer in offers:
        kind = {"integer": "number"}.get(str(offer.returns.get("type")), str(offer.returns.get("type")))
        others = [taker for taker in takers.get(kind, []) if taker[0] is not offer]
        if offer.worded and others:
            for other, name in Random(offer.key).sample(others, min(SAME_TYPE, len(others))):
                yield Link(offer.key, other.key, {name: ("result",)}, {})
