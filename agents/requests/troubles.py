"""Errors that a tool's result can report, and the calls that they can come to."""

from collections.abc import Mapping
from random import Random
from typing import Any

from agents.requests.answers import filled
from agents.requests.offers import Asked, Offer
from agents.requests.results import NAMING, plain
from agents.requests.values import ISO, round_int

CODES = {
    "missing": ("ResourceNotFoundException", "NOT_FOUND"),
    "busy": ("ThrottlingException", "UNAVAILABLE"),
    "denied": ("AccessDeniedException", "PERMISSION_DENIED"),
    "limit": ("ValidationException", "INVALID_ARGUMENT"),
    "exists": ("ConflictException", "ALREADY_EXISTS"),
    "spelling": ("ValidationException", "INVALID_ARGUMENT"),
}


def error(kind: str, offer: Offer, rng: Random, **parts: Any) -> dict[str, Any]:
    """A result that reports an error of this kind, a key of CODES, in the manner of the tool's source."""
    message = filled(rng, "trouble", kind, **parts)
    source = offer.group.partition("/")[0]
    if source == "botocore":
        return {"error": {"code": CODES[kind][0], "message": message}}
    if source == "google-api-python-client":
        return {"error": {"status": CODES[kind][1], "message": message}}
    return {"error": message}


def message_of(result: Mapping[str, Any]) -> str:
    """The text of a result that reports an error."""
    told = result["error"]
    return str(told["message"]) if isinstance(told, dict) else str(told)


def naming(offer: Offer, arguments: Mapping[str, Any]) -> Asked | None:
    """The required argument under which a server may know nothing."""
    if offer.action == "create":
        return None
    for asked in offer.parameters:
        value = arguments.get(asked.name)
        pooled = asked.type is not None and asked.type.base in ("id", "pool", "path")
        named = not asked.type and bool(NAMING.search(plain(asked.name)))
        text = isinstance(value, str) and len(value) > 3 and not ISO.fullmatch(value) and not asked.schema.get("enum")
        if asked.required and text and (pooled or named) and "pattern" not in asked.schema:
            return asked
    return None


def named_new(offer: Offer, arguments: Mapping[str, Any]) -> Asked | None:
    """The argument that names what is to be created."""
    if offer.action != "create":
        return None
    for asked in offer.parameters:
        own = plain(asked.name).removesuffix("name")
        fitting = plain(asked.name).endswith("name") and (not own or own in plain(offer.name))
        if not asked.type and asked.required and fitting and isinstance(arguments.get(asked.name), str):
            return asked
    return None


def bounded(offer: Offer, arguments: Mapping[str, Any]) -> Asked | None:
    """A number for which a server may have a maximum of its own."""
    for asked in offer.parameters:
        value = arguments.get(asked.name)
        chosen = asked.schema["type"] == "integer" and (asked.type is None or asked.type.base == "int")
        if (
            chosen
            and isinstance(value, int)
            and value >= 12
            and not asked.schema.get("enum")
            and offer.verb != "calculate"
        ):
            return asked
    return None


def smaller(asked: Asked, value: int, rng: Random) -> tuple[int, int] | None:
    """(a maximum below the value, a value that keeps it); None where the parameter takes nothing so small."""
    low = int(asked.type.low) if asked.type is not None else int(asked.schema.get("minimum", 1))
    most = max(value * rng.randint(40, 85) // 100, low)
    if most > 100:
        most = most // 10 * 10
    return (most, round_int(max(low, most // 2), most, rng)) if low <= most < value else None


def misspelled(value: str, rng: Random) -> str:
    """With two neighbours swapped, or a letter or digit lost."""
    places = [k for k in range(1, len(value) - 1) if value[k].isalnum() and value[k + 1].isalnum()]
    swaps = [k for k in places if value[k] != value[k + 1]]
    if swaps and rng.random() < 0.7:
        k = rng.choice(swaps)
        return value[:k] + value[k + 1] + value[k] + value[k + 2 :]
    k = rng.choice(places or [len(value) - 1])
    return value[:k] + value[k + 1 :]
