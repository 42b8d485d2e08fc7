"""Calls that depend on each other: a first one, and those that go on with its result, over one turn or several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from agents.requests.links import Link, Links
from agents.requests.offers import Action, Offer
from agents.requests.results import EACH, values_at
from agents.requests.values import iso_date
from agents.requests.wanted import Wanted

Mode = Literal["go on", "again", "both"]  # with one entry; as the call before, with another one; with the first two
ORDINALS = {
    0: ("the first one", "the first of them", "the first in the list", "the top one"),
    1: ("the second one", "the second of them", "the second in the list", "number two"),
    -1: ("the last one", "the last of them", "the last in the list"),
}
LEAST = 3  # entries of a list that is gone on with
# What is said of the entry with the least (or the most) in a field, by the field's last word.
LEAST_OF = {
    "price": "cheapest", "fare": "cheapest", "rate": "cheapest", "fee": "cheapest", "rent": "cheapest",
    "head": "cheapest", "km": "closest", "m": "closest", "minutes": "quickest", "pages": "shortest",
}  # fmt: skip
MOST_OF = {
    "rating": "best rated",
    "salary": "best paid",
    "mb": "largest",
    "late": "most overdue",
    "ms": "slowest",
}


@dataclass(frozen=True)
class Hop:
    """One call. source: the hop whose result it goes on with; link: how. mode: see Mode."""

    key: str
    link: Link | None = None
    source: int = 0
    mode: Mode = "go on"


@dataclass(frozen=True)
class Tree:
    """hops: in order. turns: how many of them each message of the user asks for."""

    hops: tuple[Hop, ...]
    turns: tuple[int, ...]


@dataclass(frozen=True)
class Pick:
    """Which entry of a list: in words, and its index."""

    which: str
    index: Callable[[Sequence[Any]], int]


def draw_tree(
    start: Sequence[Link],
    links: Links,
    action: Callable[[str], Action],
    lists: Callable[[str], bool],
    rng: Random,
) -> Tree | None:
    """A tree with at least two calls that depend on an earlier one, from one of the links; None where that has none.

    Args:
        start: links of one tool. action, lists: what a tool does to its record, and whether it returns a list, by key.
    """
    link = rng.choice(start)
    first, second = Hop(link.before), Hop(link.after, link)
    ends = action(link.after) == "delete"
    options: list[Hop] = []
    if not ends:
        further = [each for each in links.after.get(link.after, ()) if each.after not in (link.before, link.after)]
        options += [Hop(each.after, each, 1) for each in further] * 3
    two = lists(link.after)  # then `the second one` would be one of its entries
    others = [each for each in start if each.after != link.after and (not ends or each.listed)]
    others = [each for each in others if not (each.listed and two)]
    options += [Hop(each.after, each, 0) for each in others] * 2
    if link.listed and not two:
        options += [Hop(link.after, link, 0, "again")] * 2
        if rng.random() < (0.35 if len(options) == 2 else 0.1):
            return Tree((first, Hop(link.after, link, 0, "both")), rng.choice([(2,), (1, 1)]))
    if not options:
        return None
    hops = (first, second, rng.choice(options))
    return Tree(hops, _turns(hops, action, rng))


def _turns(hops: Sequence[Hop], action: Callable[[str], Action], rng: Random) -> tuple[int, ...]:
    """Nothing is created and deleted in one breath, and `the same for the second one` stands alone."""
    ways = [(1, 1, 1), (2, 1), (2, 1), (1, 2), (3,), (3,)]
    actions = [action(hop.key) for hop in hops]
    if hops[2].mode == "again" or (actions[2] == "delete" and "create" in actions[:2]):
        ways = [(1, 1, 1), (2, 1)]
    if actions[1] == "delete" and actions[0] == "create":
        ways = [(1, 1, 1), (1, 2)] if hops[2].mode == "go on" else [(1, 1, 1)]
    return rng.choice(ways)


def draw_pick(offer: Offer, rng: Random, taken: Sequence[str] = ()) -> Pick:
    """Of the entries that a tool returns, one that words can name; none of `taken`."""
    options = [
        Pick(rng.choice(ORDINALS[0]), lambda entries: 0),
        Pick(rng.choice(ORDINALS[1]), lambda entries: 1),
        Pick(rng.choice(ORDINALS[-1]), lambda entries: len(entries) - 1),
    ]
    for name, kind in offer.tool.returns.items() if offer.tool is not None else ():
        last = name.rpartition("_")[2]
        if kind.base in ("int", "number") and last in LEAST_OF:
            options += [Pick(f"the {LEAST_OF[last]} one", _extreme(name, min))] * 2
        elif kind.base in ("int", "number") and last in MOST_OF:
            options += [Pick(f"the {MOST_OF[last]} one", _extreme(name, max))] * 2
    return rng.choice([pick for pick in options if pick.which not in taken])


def _extreme(name: str, best: Callable[[Any], Any]) -> Callable[[Sequence[Any]], int]:
    def index(entries: Sequence[Any]) -> int:
        values = [entry[name] for entry in entries]
        return values.index(best(values))

    return index


def linked(link: Link, offer: Offer, result: Mapping[str, Any], index: int) -> dict[str, Any]:
    """What the second call holds of the first one's result, by declared name."""
    standing = {stem: values_at(result, path) for stem, path in link.takes.items()}
    return {offer.names[stem]: values[min(index, len(values) - 1)] for stem, values in standing.items()}


def repeated(link: Link, offer: Offer, before: Wanted) -> dict[str, Any]:
    """What the second call holds of the first one's arguments, by declared name; dates are ISO."""
    given: dict[str, Any] = {}
    for asked in before.offer.parameters:
        if asked.name in before.arguments:
            value = before.arguments[asked.name]
            given[asked.stem] = iso_date(value, asked.form) if asked.form else value
    return {offer.names[stem]: given[source] for stem, source in link.repeats.items() if source in given}


def entries_of(result: Mapping[str, Any], link: Link) -> list[Any]:
    """The entries that a link picks from; empty where it takes a value that stands alone."""
    path = next(iter(link.takes.values()))
    if EACH not in path:
        return []
    where = path[: path.index(EACH)]
    entries = values_at(result, where)[0]
    return entries if isinstance(entries, list) else []
