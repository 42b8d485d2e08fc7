"""What an agent says: what came back, what is missing, what no tool can do, what went wrong.

It claims nothing that the result does not show, and every value is said as it stands there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.offers import Asked, Offer
from agents.requests.results import NAMING, PAGING
from agents.requests.values import enumerated, words
from agents.requests.wording import upper

MOST_TOLD = 3  # fields of a result; of an entry of a list one less
CUT = 90  # characters of a value
ORDINALS = ("the first", "the second", "the third")
ADVERBIAL = re.compile(r" (by|on|at|of|until|since|from|in)$")  # `sent at`, `reply by`
PLURAL = re.compile(r"(?<![sui])s(?: \w+ed| told| left)?$")
AS_IT_IS = ("found", "number", "value")  # sentences that may begin with a value
SHORT = frozenset("percent kb mb gb kw km m cm ml kg ms".split())


def told(offer: Offer, result: Mapping[str, Any], rng: Random) -> str:
    """A sentence about a result."""
    said = _said(offer, result, rng)
    if said is None:
        return frame(rng, "answer", "empty")
    form, text = said
    raised = text if form in AS_IT_IS else upper(text)
    return frame(rng, "answer", form).format(v=text, V=raised, X=upper(offer.noun))


def told_of_each(offers: Sequence[Offer], results: Sequence[Mapping[str, Any]], rng: Random) -> str:
    """A sentence about each of several results, in their order."""
    counted = frame(rng, "answer", "counted")
    sentences = []
    for number, (offer, result) in enumerate(zip(offers, results, strict=True)):
        said = _said(offer, result, rng)
        text = "nothing more came back" if said is None else "there is no match" if not said[1] else said[1]
        raised = text if said is None or said[0] in AS_IT_IS else upper(text)
        sentences.append(counted.format(n=ORDINALS[number], N=upper(ORDINALS[number]), v=text, V=raised))
    return " ".join(sentences)


def _said(offer: Offer, result: Mapping[str, Any], rng: Random) -> tuple[str, str] | None:
    """(kind of the sentence, what it says) about a result; None about an empty one."""
    listed = offer.verb == "find" if offer.tool is not None else not offer.group.startswith("python/")
    if listed and (entries := listing(result)) is not None:
        return ("found", ", ".join(_entry(offer, entry) for entry in entries)) if entries else ("none", "")
    pairs = list(_fields(offer, result))
    if offer.tool is not None:
        pairs = [pair for pair in pairs if pair[0] != "status"] or pairs
    if not pairs:
        return None
    if len(pairs) == 1 and (offer.verb == "calculate" or pairs[0][0] == "result"):
        return ("number" if offer.verb == "calculate" else "value"), pairs[0][1]
    text = _sentence(pairs[:MOST_TOLD], plain=offer.tool is not None)
    return ("done" if offer.verb == "do" and offer.action != "read" else "got"), text


def listing(result: Mapping[str, Any]) -> list[Any] | None:
    """The records or names of a result that is a list, None of another."""
    lists = [value for value in result.values() if isinstance(value, list)]
    scalars = [name for name, value in result.items() if not isinstance(value, (list, dict)) and name != "count"]
    return lists[0] if lists and len(scalars) < 2 else None


def _entry(offer: Offer, entry: Any) -> str:
    if not isinstance(entry, dict):
        return written(entry)
    pairs = list(_fields(offer, entry))
    if not pairs:
        return "one without details"
    naming = next((k for k, (name, _) in enumerate(pairs) if offer.tool is None and NAMING.search(name)), 0)
    pairs.insert(0, pairs.pop(naming))
    rest = ", ".join(f"{name} {value}".strip() for name, value in pairs[1:MOST_TOLD])
    return f"{pairs[0][1]} ({rest})" if rest else pairs[0][1]


def _sentence(pairs: Sequence[tuple[str, str]], *, plain: bool) -> str:
    return enumerated([_clause(name, value) if plain and name else f"{name} {value}".strip() for name, value in pairs])


def _clause(name: str, value: str) -> str:
    if value in ("yes", "no"):
        return f"{name}: {value}"
    if ADVERBIAL.search(name):
        return f"{name} {value}"
    return f"the {name} {'are' if PLURAL.search(name) else 'is'} {value}"


def _fields(offer: Offer, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name in words, value with its unit) of what can be said in a sentence, also of objects one level down."""
    for name, value in values.items():
        if PAGING.search(name) or name == "count":
            continue
        if isinstance(value, dict):
            yield from (
                (words(key), written(inner))
                for key, inner in value.items()
                if not isinstance(inner, (dict, list)) and not PAGING.search(key)
            )
        elif not isinstance(value, list) or (value and not isinstance(value[0], (dict, list))):
            kind = offer.tool.returns.get(name) if offer.tool is not None else None
            if kind is not None and kind.unit and kind.base in ("int", "number"):
                last = words(name).split()[-1]
                short = last in SHORT or last in kind.unit.split()  # `size kb`: 400 kilobytes
                yield words(name).removesuffix(last).strip() if short else words(name), f"{written(value)} {kind.unit}"
            else:
                yield words(name), written(value)


def written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(written(item) for item in value)
    text = str(value)
    return text if len(text) <= CUT else text[:CUT] + "…"


def filled(rng: Random, *names: str, **parts: Any) -> str:
    """One of the frames under these keys, with values as an agent writes them."""
    return frame(rng, *names).format(**{key: written(value) for key, value in parts.items()})


def asked_back(missing: Sequence[Asked], rng: Random) -> str:
    """A question for what the call can't be made without."""
    return frame(rng, "answer", "ask").format(p=enumerated([words(asked.stem) for asked in missing], " and the "))


def declined(offer: Offer, rng: Random) -> str:
    """That no tool can do what was asked."""
    start = frame(rng, "answer", "sorry")
    body = frame(rng, "answer", "cannot").format(x=act(offer))
    return (start + body if start else upper(body)) + "." + frame(rng, "answer", "instead")


def act(offer: Offer) -> str:
    """What a tool does, as a verb phrase."""
    return offer.what if offer.verb == "do" else f"{offer.verb} {offer.noun}"
