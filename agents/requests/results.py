"""What a declared tool returns, true to the kind of tool and to what was asked, and how an agent tells it.

No service is called: the figures are made up, the same for the same call within a conversation.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.offers import Offer

NUMBER_KEYS = ["result", "value", "answer"]
LIST_KEYS = ["results", "items", "matches"]
STATES = ["low", "medium", "high", "normal", "open", "closed", "good", "poor", "none", "several"]
DONE = ["ok", "done", "success", "completed"]


def result(offer: Offer, arguments: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The result of a call; it depends on tool, arguments and the conversation's seed alone."""
    call = json.dumps([offer.key, arguments], sort_keys=True, ensure_ascii=False)
    rng = Random(int.from_bytes(hashlib.blake2b(f"{seed}|{call}".encode(), digest_size=8).digest()))
    if offer.verb == "calculate":
        return {rng.choice(NUMBER_KEYS): rng.choice([rng.randint(2, 5000), round(rng.uniform(0.1, 900), 2)])}
    if offer.verb == "get":
        return {"value": rng.choice([round(rng.uniform(1, 2000), 1), rng.randint(1, 500), rng.choice(STATES)])}
    if offer.verb == "find":
        letters = "".join(word[0] for word in offer.what.split()[:3]).upper()
        found = [f"{letters}-{number}" for number in rng.sample(range(10, 9999), rng.randint(0, 3))]
        return {rng.choice(LIST_KEYS): found, "count": len(found)}
    return {"status": rng.choice(DONE), "id": f"{rng.choice('abcdefghkm')}{rng.randint(100, 99999)}"}


def told(offers: Sequence[Offer], results: Sequence[Mapping[str, Any]], rng: Random) -> str:
    """The agent's sentence about what came back, every value of it said as it is."""
    return " ".join(_told(offer, given, rng) for offer, given in zip(offers, results, strict=True))


def _told(offer: Offer, given: Mapping[str, Any], rng: Random) -> str:
    if offer.verb == "find":
        found = next(value for value in given.values() if isinstance(value, list))
        return frame(rng, "answer", "found").format(v=", ".join(found)) if found else frame(rng, "answer", "none")
    if offer.verb == "do":
        return frame(rng, "answer", "done").format(v=given["id"])
    value, noun = next(iter(given.values())), offer.noun
    return frame(rng, "answer", "number").format(v=value, X=noun[0].upper() + noun[1:])
