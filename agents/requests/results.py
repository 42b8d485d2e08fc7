"""What a declared tool returns: true to its schema, to what was asked, and to what the conversation has seen.

No service is called. The same call has the same result until something changes; a field named as an argument holds the
argument; a record keeps its fields wherever it shows up, what was created is listed, what was deleted is not found.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.offers import Offer, default_of
from agents.requests.schemas import MOST_ITEMS, Schema, draw_by_schema, fits
from agents.requests.values import ISO, SHAPES, between, draw, iso_date, later, words
from agents.tools.everyday import EverydayTool, Type, facts
from agents.tools.formulas import computed

Record = dict[str, Any]  # values by `plain` names of fields
Path = tuple[str, ...]  # to a value in a result; EACH is any entry of a list
EACH = "*"
LISTS = ["results", "items", "matches"]
DONE = ["ok", "done", "success", "completed"]
NAMING = re.compile(r"(?:id|ids|identifier|arn|name|number|code|key|reference|url|uri|address|title)$")
PAGING = re.compile(
    r"next.*token|page_?token|continuation|(?<![a-z])etag|request_?id|marker|cursor|unreachable|selflink|^kind$|^done$"
    r"|error|warning|fail|unprocessed",
    re.I,
)  # what a result holds besides what was asked for
OWN = ("id", "name", "arn", "identifier")  # of a record, whatever an argument of that name is about
MOST_FIELDS = (5, 4, 3, 2)  # of an object, by its depth
MONEY = frozenset("price fee fare rate rent cost premium salary total amount".split())
PLAIN = ("string", "boolean", "integer", "number")
FEW = 0.08  # of searches that may find nothing


def plain(name: str) -> str:
    """`BucketName`, `bucket_name` → `bucketname`."""
    return words(name).replace(" ", "")


def values_at(result: Any, path: Path) -> list[Any]:
    """What stands at a path, one value for each entry of a list on the way."""
    found = [result]
    for part in path:
        if part == EACH:
            found = [entry for each in found if isinstance(each, list) for entry in each]
        elif part:
            found = [each[part] for each in found if isinstance(each, dict) and part in each]
        else:  # the list of a search, whatever its name is
            found = [next(value for value in each.values() if isinstance(value, list)) for each in found]
    return found


@dataclass
class Simulator:
    """The state of one conversation.

    records: by what names them. created: (group, record), in order. gone: (group, what named it) of deleted records.
    """

    seed: int
    records: dict[str, Record] = field(default_factory=dict)
    created: list[tuple[str, Record]] = field(default_factory=list)
    gone: set[tuple[str, str]] = field(default_factory=set)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)

    def call(
        self, offer: Offer, arguments: Mapping[str, Any], paths: Sequence[Path] = (), least: int = 0
    ) -> dict[str, Any]:
        """The result of a call.

        Args:
            paths: of values that must be in it, so often as `least` says where they lead through a list.
        """
        call = json.dumps([offer.key, arguments], sort_keys=True, ensure_ascii=False)
        if call in self.memory and _holds(self.memory[call], paths, least):
            return self.memory[call]
        rng = Random(int.from_bytes(hashlib.blake2b(f"{self.seed}|{call}".encode(), digest_size=8).digest()))
        stems = {asked.name: asked.stem for asked in offer.parameters}
        given = {stems[name]: value for name, value in arguments.items()}
        texts = [value for value in given.values() if isinstance(value, str)]
        lost = next((value for value in texts if (offer.group, value) in self.gone), None)
        if lost is not None:
            return {"error": frame(rng, "trouble", "missing").format(v=lost)}
        if offer.tool is not None and offer.tool.returns:
            forms = {asked.stem: asked.form for asked in offer.parameters if asked.form and asked.stem in given}
            plain_dates = {stem: iso_date(given[stem], form) for stem, form in forms.items()}
            result = self._authored(offer, given | plain_dates, rng, least)
        elif offer.returns.get("properties"):
            shared = {plain(name): value for name, value in _scalars(given)} if offer.action == "read" else {}
            shaper = Shaper(rng, least, shared, lambda fields: self._listed(offer, fields))
            result = shaper.object(offer.returns, self._known(offer, given), 0, paths)
        else:
            result = self._by_kind(offer, rng)
        self._remember(offer, given, result)
        self.memory[call] = result
        return result

    # ---- state ---------------------------------------------------------------------------------------------------

    def _known(self, offer: Offer, given: Mapping[str, Any]) -> Record:
        """What the arguments and the records that they name say about fields."""
        known: Record = {}
        for value in given.values():
            record = self.records.get(value, {}) if isinstance(value, str) else {}
            # What is created has a name of its own, whatever it belongs to is called.
            known |= {key: old for key, old in record.items() if offer.action != "create" or not NAMING.search(key)}
        for name, value in _scalars(given):
            known[plain(name)] = value
        return known

    def _remember(self, offer: Offer, given: Mapping[str, Any], result: dict[str, Any]) -> None:
        action = offer.action
        if action != "read":
            self.memory.clear()
        target = _target(offer, given) if action in ("delete", "change") else None
        if action == "delete" and target is not None:
            self.gone.add((offer.group, target))
            self.created = [(group, record) for group, record in self.created if target not in record.values()]
            return
        if target is not None:
            self.records.setdefault(target, {}).update({plain(name): value for name, value in _scalars(given)})
        asked = {plain(name): value for name, value in _scalars(given) if plain(name) not in OWN}
        for each in _objects(result):
            record = {plain(name): value for name, value in each.items() if not isinstance(value, (dict, list))}
            if action == "create" and each is result:
                record = {plain(name): value for name, value in _scalars(given)} | record
                self.created.append((offer.group, record))
            if action == "read" and each is not result:
                record = asked | record  # a list of open ones holds open ones
            for name, value in each.items():
                if isinstance(value, str) and len(value) > 2 and NAMING.search(plain(name)):
                    self.records.setdefault(value, {}).update(record)

    def _listed(self, offer: Offer, names: Collection[str]) -> list[Record]:
        """Records created here that a list with such fields shows."""
        own = {plain(name) for name in names}
        return [
            record
            for group, record in self.created
            if group == offer.group and any(name in own and NAMING.search(name) for name in record)
        ]

    # ---- authored tools ------------------------------------------------------------------------------------------

    def _authored(self, offer: Offer, given: Mapping[str, Any], rng: Random, least: int) -> dict[str, Any]:
        tool = offer.tool
        assert tool is not None
        values = {parameter.name: default_of(parameter) for parameter in tool.parameters} | dict(given)
        if tool.verb != "find":
            record = self._record(tool, values, self._known(offer, given), rng)
            return {"status": rng.choice(DONE)} | record if tool.verb == "do" else record
        count = max(least, 0 if rng.random() < FEW and not least else rng.randint(1, 4))
        created = [
            record
            for group, record in self.created
            if group == tool.domain
            and any(plain(name) in record for name, kind in tool.returns.items() if kind.base == "id")
        ]
        found: list[Record] = []
        for k in range(4 * max(count, len(created))):
            record = self._record(tool, values, created[k] if k < len(created) else {}, rng)
            taken = [next(iter(other.values())) for other in found]
            if len(found) < max(count, len(created)) and next(iter(record.values())) not in (*taken, *given.values()):
                found.append(record)
        return {rng.choice(LISTS): found, "count": len(found)}

    def _record(self, tool: EverydayTool, values: Mapping[str, Any], known: Record, rng: Random) -> Record:
        record: Record = {}
        for name, kind in tool.returns.items():
            if kind.formula is not None:
                record[name] = computed(kind.formula, {**values, **record})
            elif kind.base == "fact":
                record[name] = facts()[kind.pool][values[kind.unit]]
            elif plain(name) in known and known[plain(name)] is not None:
                record[name] = known[plain(name)]
            elif tool.verb == "find" and record and not isinstance(values.get(name), (list, type(None))):
                record[name] = values[name]  # all that was found is of the kind that was looked for
            else:
                named = _named(tool, kind, values)
                record[name] = rng.choice(named) if named else _drawn(name, kind, values, rng)
        return record

    def _by_kind(self, offer: Offer, rng: Random) -> dict[str, Any]:
        """Of a tool that does not say what it returns."""
        if offer.group.startswith("python/"):
            kind = str(offer.returns.get("type", "number"))
            number = {"type": "number"}
            schema = (
                {"type": "array", "items": number} if kind == "array" else {"type": kind} if kind in PLAIN else number
            )
            return {"result": draw_by_schema("value", schema, rng)}
        if offer.returns and not offer.group.startswith("mcp/"):
            return {}  # the service answers with an empty object
        if offer.action == "read":
            return {"result": draw_by_schema(offer.what.split()[-1], {"type": "string"}, rng)}
        done = {"status": rng.choice(DONE)}
        return done | {"id": SHAPES["id"](rng)} if offer.action == "create" else done


def _telling(name: str, schema: Schema) -> bool:
    """Whether an optional field says something: no page's token, no error, no object of unknown fields."""
    inner = schema.get("items", schema) if schema.get("type") == "array" else schema
    return not PAGING.search(name) and (inner.get("type") not in ("object", "array") or bool(inner.get("properties")))


def _holds(result: Mapping[str, Any], paths: Sequence[Path], least: int) -> bool:
    """Whether a result has the values that are needed of it."""
    return all(len(values_at(result, path)) >= (least if EACH in path else 1) for path in paths)


def _below(paths: Sequence[Path], name: str) -> list[Path]:
    """What is left of the paths that go through a field, or through the entries of a list."""
    return [path[1:] for path in paths if path[:1] == (name,)]


@dataclass(frozen=True)
class Shaper:
    """Draws a result by its schema, a few fields of each object and a few entries of each list.

    least: of entries of a list on the way to what is needed. shared: what all entries of a list have in common.
    listed: records of this conversation that a list with such fields shows.
    """

    rng: Random
    least: int
    shared: Record
    listed: Callable[[Collection[str]], list[Record]]

    def object(self, schema: Schema, known: Record, depth: int, paths: Sequence[Path]) -> dict[str, Any]:
        """Args: known: values of fields by `plain` name. paths: of what must be there."""
        properties, required = schema["properties"], schema["required"]
        optional = [name for name in properties if name not in required and _telling(name, properties[name])]
        optional.sort(key=lambda name: (plain(name) not in known, properties[name].get("type") in ("object", "array")))
        lists = [name for name in optional if depth == 0 and properties[name].get("type") == "array"][:1]
        few = optional[: max(MOST_FIELDS[min(depth, 3)] - len(required), 0)]
        chosen = {*required, *(path[0] for path in paths if path), *lists, *few}
        return {
            name: self._value(name, own, known, depth, _below(paths, name))
            for name, own in properties.items()
            if name in chosen
        }

    def _value(self, name: str, schema: Schema, known: Record, depth: int, paths: Sequence[Path]) -> Any:
        kind = schema["type"]
        if kind == "object":
            return self.object(schema, known, depth + 1, paths) if schema.get("properties") else {}
        if kind == "array":
            return self._list(name, schema, known, depth, paths)
        value = known.get(plain(name))
        return value if value is not None and fits(value, schema) else draw_by_schema(name, schema, self.rng)

    def _list(self, name: str, schema: Schema, known: Record, depth: int, paths: Sequence[Path]) -> list[Any]:
        items, inner = schema["items"], _below(paths, EACH)
        low, high = schema.get("minItems", 0), schema.get("maxItems", MOST_ITEMS)
        wanted = self.rng.randint(1, MOST_ITEMS) if known else MOST_ITEMS
        count = low if depth > 2 else min(max(wanted, low, self.least if inner else 0), max(high, low))
        if not items.get("properties"):
            return self._values(name.removesuffix("s"), items, low, count, depth)
        created = self.listed(items["properties"]) if depth == 0 else []
        about = {key: value for key, value in self.shared.items() if key not in OWN}
        return [
            self.object(items, about | created[k] if k < len(created) else about, depth + 1, inner)
            for k in range(max(count, min(len(created), high)))
        ]

    def _values(self, name: str, items: Schema, low: int, count: int, depth: int) -> list[Any]:
        """Different ones, as far as there are so many."""
        values: list[Any] = []
        for attempt in range(4 * count):
            value = self._value(name, items, {}, depth + 1, ())
            if len(values) < count and (value not in values or attempt >= 4 * count - low):
                values.append(value)
        return values


def _target(offer: Offer, given: Mapping[str, Any]) -> str | None:
    """What names the record that a call changes: of the required arguments that name something, the tool's own."""
    naming = [
        asked.stem
        for asked in offer.parameters
        if asked.required and isinstance(given.get(asked.stem), str) and NAMING.search(plain(asked.stem))
    ]
    about = plain(offer.name)
    own = [stem for stem in naming if NAMING.sub("", plain(stem)) and NAMING.sub("", plain(stem)) in about]
    return str(given[(own or naming)[-1]]) if naming else None


def _scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Fields and those of objects in them, one level down."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((key, inner) for key, inner in value.items() if not isinstance(inner, (dict, list)))
        elif not isinstance(value, list):
            yield name, value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _named(tool: EverydayTool, kind: Type, values: Mapping[str, Any]) -> list[str]:
    """The values that a search was given for a field of this kind to choose from."""
    for parameter in tool.parameters if tool.verb == "find" and kind.base == "pool" else ():
        item, value = parameter.type.item, values[parameter.name]
        if item == kind and value and not parameter.name.startswith(("avoid", "disliked", "exclude", "liked")):
            return list(value)
    return []


def _drawn(name: str, kind: Type, values: Mapping[str, Any], rng: Random) -> Any:
    """A value of a field within the bounds that the arguments set for it: `max_price`, `minimum_rating`."""
    if kind.base == "date":
        days = [value for value in values.values() if isinstance(value, str) and ISO.fullmatch(value)]
        if len(days) > 1:
            return between(min(days), max(days), rng)
        return later(max(days, default="2026-03-01"), rng)
    if kind.base not in ("int", "number"):
        return draw(kind, rng)
    low, high = kind.low, kind.high
    for argument, value in values.items():
        bound = re.match(r"(max|maximum|min|minimum|radius|within)_", argument)
        if bound is None or isinstance(value, bool) or not isinstance(value, (int, float)) or not _same(argument, name):
            continue
        if bound[1].startswith("min"):
            low = min(max(low, value), max(high, value))
            high = max(high, low)
        else:
            high = max(min(high, value), min(low, value))
            low = min(low, high)
    return draw(Type(kind.base, low, high), rng)


def _same(argument: str, name: str) -> bool:
    """Whether a bound is one of this field."""
    ours, theirs = set(argument.split("_")[1:]), set(name.split("_"))
    distance = "distance" in theirs and ("radius" in argument or "distance" in argument or "detour" in argument)
    return bool(ours & theirs - {"km", "per", "m", "percent"}) or bool(ours & MONEY and theirs & MONEY) or distance
