"""Calls that are asked for, and values for what they hold."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.requests.offers import Asked, Offer
from agents.requests.values import later

OPTIONAL = 0.45  # of optional parameters: given
EARLIER = ("reply_by",)  # dates that come before the others


@dataclass(frozen=True)
class Wanted:
    """A call that is asked for: what is said of it, and what it must hold, by declared name."""

    offer: Offer
    said: dict[str, Any]
    arguments: dict[str, Any]


def want(
    offer: Offer,
    rng: Random,
    known: Mapping[str, Any] | None = None,
    linked: Collection[str] = (),
    after: str = "",
) -> Wanted:
    """A call with values for the required parameters and some of the others, at least one where there is any.

    Dates come one after the other, and two of a kind (cities, units) differ.

    Args:
        known: values that are not drawn and not said, by declared name, as an earlier call or result held them.
        linked: parameters whose values are still to come. after: an ISO date that others follow.
    """
    known = known or {}
    open_to = [asked for asked in offer.parameters if asked.name not in linked]
    chosen = [asked for asked in open_to if asked.required or asked.name in known or rng.random() < OPTIONAL]
    if not chosen and not linked and offer.parameters:
        chosen = [rng.choice(offer.parameters)]
    chosen = _as_authored(offer, chosen)
    said: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    days = [after] if after else []
    times: list[str] = []
    for asked in chosen:
        base = asked.type.base if asked.type is not None else ""
        if asked.name in known:
            arguments[asked.name] = asked.written(known[asked.name])
            days += [known[asked.name]] if base == "date" else []
            continue
        said[asked.name], arguments[asked.name] = asked.draw(rng)
        if base == "date":
            day = later(days[-1], rng) if days else said[asked.name]
            said[asked.name], arguments[asked.name] = day, asked.spelled(day)
            days.append(day)
        elif base == "time":
            times.append(said[asked.name])
        elif base in ("pool", "enum") and asked.type is not None and (base == "pool" or asked.stem.endswith("_unit")):
            for _ in range(4):
                if not _taken(asked, arguments, chosen):
                    break
                said[asked.name], arguments[asked.name] = asked.draw(rng)
    _sort(offer, said, arguments, times)
    ordered = [asked.name for asked in offer.parameters]
    return Wanted(
        offer,
        {name: said[name] for name in ordered if name in said},
        {name: arguments[name] for name in ordered if name in arguments},
    )


def _as_authored(offer: Offer, parameters: Sequence[Asked]) -> list[Asked]:
    """In the order of the authored tool, however they are declared."""
    order = [] if offer.tool is None else [parameter.name for parameter in offer.tool.parameters]
    return sorted(parameters, key=lambda asked: order.index(asked.stem)) if order else list(parameters)


def _taken(asked: Asked, arguments: Mapping[str, Any], chosen: Sequence[Asked]) -> bool:
    """Whether another parameter of the same kind has the value."""
    return any(
        other.name != asked.name and other.type == asked.type and arguments.get(other.name) == arguments[asked.name]
        for other in chosen
    )


def _sort(offer: Offer, said: dict[str, Any], arguments: dict[str, Any], times: Sequence[str]) -> None:
    """What is before comes before: the times of a call, and a date to answer by before the day."""
    timed = [a for a in offer.parameters if a.type is not None and a.type.base == "time" and a.name in said]
    if len(timed) > 1:
        for asked, time in zip(_as_authored(offer, timed), sorted(times), strict=True):
            said[asked.name] = arguments[asked.name] = time
    dated = [a for a in offer.parameters if a.type is not None and a.type.base == "date" and a.name in said]
    early = next((asked for asked in dated if asked.stem in EARLIER), None)
    other = next((asked for asked in dated if asked.stem not in EARLIER), None)
    if early is not None and other is not None:
        days = sorted((said[early.name], said[other.name]))
        for asked, day in zip((early, other), days, strict=True):
            said[asked.name], arguments[asked.name] = day, asked.spelled(day)
