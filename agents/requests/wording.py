"""A user's sentences, in many forms and registers.

Every value that the call must hold stands in the request, or is referred to where an earlier result holds it; nothing
else that could be taken for one stands there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.offers import Asked, Offer
from agents.requests.values import ISO, enumerated, say, words

REGISTERS = {"plain": 56, "formal": 11, "casual": 13, "terse": 11, "voice": 9}  # of users, in percent
TYPOS = 0.03  # of requests
CONVERTED = 0.08  # of values with a unit that is said in another one
UNITS = {  # how a phrase may write a unit: (another, how many of it, its name)
    "km": (1000, "m"), "kilometers": (1000, "meters"), "meters": (100, "cm"), "kg": (1000, "g"),
    "kilograms": (1000, "grams"), "hours": (60, "minutes"), "liters": (1000, "ml"), "cm": (10, "mm"),
    "minutes": (60, "seconds"), "tons": (1000, "kg"),
}  # fmt: skip
UNIT = re.compile(rf"\{{\}} ({'|'.join(UNITS)})\b(?! per| an? )")
NAMES = re.compile(r"(?:called|named|titled|namely|numbered|such as|like|labelled|of the (?:kind|product))\b")
MANY = 5  # values, from which on they are listed line by line
LINED = 0.6


def draw_register(rng: Random) -> str:
    return rng.choices(list(REGISTERS), list(REGISTERS.values()))[0]


@dataclass(frozen=True)
class Reference:
    """How a user points to a value of an earlier result.

    which: of several, `the cheapest one`; empty where there is one. later: the result was told in an earlier turn.
    """

    noun: str
    which: str
    later: bool


@dataclass(frozen=True)
class Speech:
    """What a sentence says of a call: values by parameter, and references to earlier ones.

    after: the `start` of a conversation, another `turn`, a `sentence` of the same turn, or a result of it (`then`) or
    of an earlier turn (`later`), which the sentence goes on from.
    """

    offer: Offer
    said: Mapping[str, Any]
    references: Mapping[str, Reference]
    after: str = "start"


def request(speech: Speech, rng: Random, register: str = "plain") -> str:
    """A user's sentence that asks for a call."""
    offer = speech.offer
    phrased = any(asked.phrase for asked in offer.parameters)
    if speech.references or speech.after in ("then", "later"):
        text = _going_on(speech, rng)
    else:
        text = _by_phrase(speech, rng, register) if phrased else _by_name(speech, rng, register)
    if register in ("terse", "voice") and text.endswith("."):
        text = text[:-1]
    if speech.after in ("sentence", "then", "later"):
        return text
    if speech.after == "turn":
        return join_sentence(frame(rng, "request", "after_another"), text) if rng.random() < 0.5 else text
    plain = register in ("plain", "formal")
    return join_sentence(frame(rng, "request", "before"), text) if plain and rng.random() < 0.3 else text


def join_sentence(start: str, text: str) -> str:
    """`Also, ` and `Find hotels.` → `Also, find hotels.`, but nothing that begins with a name is changed."""
    lowers = start.rstrip().endswith((",", ":")) or start.strip()[:1].islower() or start.strip() in LEADING
    first = text.split(" ", 1)[0]
    return start + (text[0].lower() + text[1:] if lowers and first[1:].islower() and first not in ("I",) else text)


LEADING = {"Now", "And then", "Then", "Once you have that", "Afterwards", "With that"}


# ---- a sentence by itself --------------------------------------------------------------------------------------------


def _framed(rng: Random, *names: str, **parts: str) -> str:
    """A frame filled in; now and then with a typing error in the frame's own words, never in a value."""
    text = frame(rng, *names)
    if rng.random() < TYPOS:
        long = [found for found in re.finditer(r"(?<![{\w])[a-zA-Z]{5,}(?![}\w])", text)]
        if long:
            found = rng.choice(long)
            at = rng.randrange(found.start() + 1, found.end() - 2)
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text.format(**parts)


def _by_phrase(speech: Speech, rng: Random, register: str) -> str:
    offer, said = speech.offer, speech.said
    bits = [_bit(asked, said[asked.name], rng) for asked in offer.parameters if asked.name in said]
    if rng.random() < 0.3:
        rng.shuffle(bits)
    noun = offer.noun
    if bits and offer.verb != "do" and register == "plain" and rng.random() < 0.1:
        given = _listed(bits, rng)
        question = _framed(rng, "request", "openings", register, offer.verb, x=noun, X=upper(noun))
        return tidy(
            rng.choice(
                [
                    f"{upper(given)}: {question}",
                    f"{question} {upper(given)}.",
                    f"Consider this: {given}. {question}",
                    f"{question} ({given})",
                ]
            )
        )
    between = " " if len(bits) < 3 or rng.random() < 0.5 else ", "
    whole = (
        " ".join([noun, between.join(bits)]) if rng.random() < 0.7 or len(bits) < 2 else f"{noun} {_listed(bits, rng)}"
    ).strip()
    return tidy(_framed(rng, "request", "openings", register, offer.verb, x=whole, X=upper(whole)))


def _bit(asked: Asked, value: Any, rng: Random) -> str:
    if isinstance(value, bool):
        noun = asked.phrase.replace("{}", "").strip() or words(asked.name)
        return f"{'with' if value else 'without'} {noun}"
    if (converted := _converted(asked, value, rng)) is not None:
        return converted
    text = _value(asked, value, rng)
    quotable = isinstance(value, str) and not ISO.fullmatch(value) and " " in text and '"' not in asked.phrase
    if quotable and not re.match(r"\d", text) and rng.random() < 0.1:
        text = f'"{text}"'
    if isinstance(value, (int, float)) and rng.random() < 0.15:
        return rng.choice(["{p} of {v}", "{p} {v}", "{p} = {v}", "a {p} of {v}", "{p}: {v}"]).format(
            p=words(asked.stem), v=text
        )
    return asked.phrase.replace("{}", text)


def _value(asked: Asked, value: Any, rng: Random) -> str:
    """As a user writes it; years have no comma."""
    year = "year" in words(asked.stem).split() or (asked.type is not None and asked.type.base == "year")
    return str(value) if year else say(value, rng, share=asked.share)


def _converted(asked: Asked, value: Any, rng: Random) -> str | None:
    """The value in another unit, where the declaration says in which it must be."""
    found = UNIT.search(asked.phrase)
    if found is None or isinstance(value, (list, bool)) or rng.random() >= CONVERTED or asked.type is None:
        return None
    times, unit = UNITS[found[1]]
    other = round(value * times, 6)
    if not asked.type.unit or asked.type.unit not in str(asked.schema["description"]) or not float(other).is_integer():
        return None
    return asked.phrase.replace(found[0], f"{int(other)} {unit}")


def _by_name(speech: Speech, rng: Random, register: str) -> str:
    offer, said = speech.offer, speech.said
    clauses = rng.random() < 0.4
    if not said:
        return _framed(rng, "request", "nothing_given", b=offer.what, B=upper(offer.what))
    if len(said) > MANY and rng.random() < LINED:
        lines = "\n".join(f"{words(name)}: {_spoken(value, rng)}" for name, value in said.items())
        return _framed(rng, "request", "lines", b=offer.what, B=upper(offer.what), l=lines)
    bits = _named_bits(offer, said, rng, clauses=clauses)
    given = _listed(bits, rng)
    form = "act_with_clauses" if clauses else "act_with_nouns"
    parts = {"b": offer.what, "B": upper(offer.what), "t": given, "T": upper(given)}
    return tidy(_framed(rng, "request", form, register, **parts))


def _spoken(value: Any, rng: Random) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else say(value, rng)


def _named_bits(offer: Offer, said: Mapping[str, Any], rng: Random, *, clauses: bool) -> list[str]:
    bits = []
    for name, value in _flat(said, rng):
        if isinstance(value, bool) and not clauses:
            form = rng.choice(["{} on", "{} enabled"] if value else ["no {}", "{} off"])
            bits.append(form.format(words(name)))
        else:
            form = frame(rng, "request", "value_clause" if clauses else "value_noun")
            year = isinstance(value, int) and "year" in words(name).split()
            bits.append(form.format(p=words(name), v=str(value) if year else _spoken(value, rng)))
    rng.shuffle(bits)
    return bits


def _flat(said: Mapping[str, Any], rng: Random) -> list[tuple[str, Any]]:
    """Values by name; fields of an object by its name and theirs, or all of it as it is written in JSON."""
    flat: list[tuple[str, Any]] = []
    for name, value in said.items():
        if isinstance(value, dict) and value and rng.random() < 0.6:
            flat += [(f"{name}.{key}", inner) for key, inner in value.items()]
        else:
            flat.append((name, value))
    return flat


def _listed(bits: Sequence[str], rng: Random) -> str:
    return enumerated(bits, rng.choice([" and ", ", ", ", and ", " and "]) if len(bits) > 1 else "")


# ---- a sentence that goes on from a result ---------------------------------------------------------------------------


def _going_on(speech: Speech, rng: Random) -> str:
    offer, bits, pointed = speech.offer, [], False
    for asked in offer.parameters:
        if asked.name in speech.said and asked.phrase:
            bits.append(_bit(asked, speech.said[asked.name], rng))
        elif asked.name in speech.references and not pointed:
            bits.append(_reference(asked, speech.references[asked.name], rng))
            pointed = True
    named = {name: value for name, value in speech.said.items() if not offer.tool}
    if named:
        bits.append(f"with {_listed(_named_bits(offer, named, rng, clauses=False), rng)}")
    whole = f"{offer.noun} {', '.join(bits) if len(bits) > 2 else ' '.join(bits)}".strip()
    start = "later" if speech.after == "later" else "then"
    return tidy(_framed(rng, "chain", f"{start}_{offer.verb}", x=whole, X=upper(whole)))


def _reference(asked: Asked, reference: Reference, rng: Random) -> str:
    """`at the cheapest one`, `at that hotel`; of an id `with that reservation number`."""
    pooled = asked.type is not None and asked.type.base == "pool" and re.search(r'\{\}"?$', asked.phrase)
    if pooled:
        pointed = reference.which or f"that {reference.noun}"
        if NAMES.match(asked.phrase):
            return f"namely {reference.which or 'that one'}"
        return re.sub(r"\b(the|a|an) (the|that)\b", r"\2", asked.phrase.replace('"{}"', "{}").replace("{}", pointed))
    time = "later" if reference.later else "now"
    if reference.which:
        return frame(rng, "reference", f"listed_{time}").format(p=reference.noun, r=reference.which)
    return frame(rng, "reference", time).format(p=reference.noun)


def followed(text: str, further: str, rng: Random) -> str:
    """Two sentences of one turn, the second of which needs the first one's result."""
    joint = frame(rng, "chain", "joins")
    if joint[1].isupper() and text[-1] not in ".?!":
        text += "."
    if joint[1].islower() and text[-1] in ".?!":
        text = text[:-1] + ("," if text[-1] == "." and rng.random() < 0.5 else "")
        further = further[0].lower() + further[1:] if further[1:2].islower() else further
        return text + joint + further
    return text + join_sentence(joint, further)


def same_for(which: str, rng: Random) -> str:
    """The last request once more, for another one of what was found."""
    return _framed(rng, "chain", "same", r=which)


# ---- answers of a user -----------------------------------------------------------------------------------------------


def supplied(asked: Sequence[Asked], values: Sequence[Any], rng: Random) -> str:
    """The user's answer when he was asked for what is missing."""
    if len(asked) > 1:
        bits = [f"{words(each.stem)} {_value(each, value, rng)}"
                for each, value in zip(asked, values, strict=True)]  # fmt: skip
        return frame(rng, "value_supplied").format(v=_listed(bits, rng), p="rest")
    value = values[0]
    if isinstance(value, bool):
        return rng.choice(["Yes.", "yes please", "Yes, with it."] if value else ["No.", "no", "No, without it."])
    return _answered(frame(rng, "value_supplied"), asked[0], value, rng)


def corrected(asked: Asked, value: Any, rng: Random) -> str:
    """Another value than the one that did not work."""
    return _answered(frame(rng, "corrected"), asked, value, rng)


def _answered(form: str, asked: Asked, value: Any, rng: Random) -> str:
    text = form.format(v=_value(asked, value, rng), p=words(asked.stem))
    raised = rng.random() < 0.3 and text[0].islower() and not re.match(r"\S*[\d/@_.:-]", text)
    return tidy(upper(text) if raised else text)


def upper(text: str) -> str:
    """With a capital, where it begins with a word; an id or a name stays as it is."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+(?:'\w+)?(?=[\s.,:;?!]|$)", text) else text


def tidy(text: str) -> str:
    text = (
        re.sub(r"[^\S\n]+", " ", text).replace(" ,", ",").replace(" and and ", " and ").replace(", and and ", ", and ")
    )
    return re.sub(r"(?<![.\d])\.([.?!])", r"\1", text).strip()
