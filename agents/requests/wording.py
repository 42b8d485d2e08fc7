"""Sentences: what a user asks for, in many forms, and what an agent says when it does not call a tool.

Every value that the call must hold stands in the request; nothing else that could be taken for one.
"""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from agents.requests.frames import frame
from agents.requests.offers import Asked, Offer
from agents.requests.values import ISO, say, words


def request(offer: Offer, said: Mapping[str, Any], rng: Random, *, after: str = "start") -> str:
    """A user's sentence that asks for the offer.

    Args:
        said: of the parameters that are given, what is said, by name; in any order.
        after: the `start` of a conversation, another `turn`, or a `sentence` of the same turn.
    """
    text = (
        _by_name(offer, said, rng)
        if not any(asked.phrase for asked in offer.parameters)
        else _by_phrase(offer, said, rng)
    )
    text = _tidy(text)
    if rng.random() < 0.06:
        text = text.lower() if not re.search(r"[A-Z]{2}|\d[a-zA-Z]|[/@]", text) else text
    if after == "sentence":
        return text
    if after == "turn":
        return join_sentence(frame(rng, "request", "after_another"), text) if rng.random() < 0.5 else text
    return join_sentence(frame(rng, "request", "before"), text) if rng.random() < 0.3 else text


def join_sentence(start: str, text: str) -> str:
    """`Also, ` and `Find hotels.` → `Also, find hotels.`, but nothing that begins with a name is changed."""
    lowers = start.rstrip().endswith((",", ":")) or start[:1].islower() or start in ("Now ", "And then ")
    first = text.split(" ", 1)[0]
    return start + (text[0].lower() + text[1:] if lowers and first[1:].islower() and first not in ("I",) else text)


def _by_phrase(offer: Offer, said: Mapping[str, Any], rng: Random) -> str:
    bits = [_bit(asked, said[asked.name], rng) for asked in offer.parameters if asked.name in said]
    if rng.random() < 0.3:
        rng.shuffle(bits)
    noun = offer.noun
    if bits and offer.verb != "do" and rng.random() < 0.12:
        given, question = (
            _listed(bits, rng),
            frame(rng, "request", "openings", offer.verb).format(x=noun, X=_upper(noun)),
        )
        return rng.choice(
            [
                f"{_upper(given)}: {question}",
                f"{question} {_upper(given)}.",
                f"Consider this: {given}. {question}",
                f"{question} ({given})",
            ]
        )
    between = " " if len(bits) < 3 or rng.random() < 0.5 else ", "
    whole = (
        " ".join([noun, between.join(bits)]) if rng.random() < 0.7 or len(bits) < 2 else f"{noun} {_listed(bits, rng)}"
    )
    return frame(rng, "request", "openings", offer.verb).format(x=whole.strip(), X=_upper(whole.strip()))


def _bit(asked: Asked, value: Any, rng: Random) -> str:
    if isinstance(value, bool):
        noun = asked.phrase.replace("{}", "").strip() or words(asked.name)
        return f"{'with' if value else 'without'} {noun}"
    text = say(value, rng, share=asked.share)
    quotable = isinstance(value, str) and not ISO.fullmatch(value) and " " in text and '"' not in asked.phrase
    if quotable and rng.random() < 0.1:
        text = f'"{text}"'
    if isinstance(value, (int, float)) and rng.random() < 0.2:
        return rng.choice(["{p} of {v}", "{p} {v}", "{p} = {v}", "a {p} of {v}", "{p}: {v}"]).format(
            p=words(asked.name), v=text
        )
    return asked.phrase.replace("{}", text)


def _by_name(offer: Offer, said: Mapping[str, Any], rng: Random) -> str:
    clauses = rng.random() < 0.4
    bits = []
    for asked in (asked for asked in offer.parameters if asked.name in said):
        value, name = said[asked.name], words(asked.name)
        if isinstance(value, bool) and not clauses:
            bits.append(
                (rng.choice(["{} on", "{} enabled"]) if value else rng.choice(["no {}", "{} off"])).format(name)
            )
        else:
            form = frame(rng, "request", "value_clause" if clauses else "value_noun")
            bits.append(form.format(p=name, v=say(value, rng)))
    rng.shuffle(bits)
    if not bits:
        return frame(rng, "request", "openings", "do").format(x=offer.what, X=_upper(offer.what))
    given = _listed(bits, rng)
    form = frame(rng, "request", "act_with_clauses" if clauses else "act_with_nouns")
    return form.format(b=offer.what, B=_upper(offer.what), t=given, T=_upper(given))


def _listed(bits: Sequence[str], rng: Random) -> str:
    if len(bits) == 1:
        return bits[0]
    return ", ".join(bits[:-1]) + rng.choice([" and ", ", ", ", and ", " and "]) + bits[-1]


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).replace(" ,", ",").replace(" and and ", " and ")
    return re.sub(r"(?<![.\d])\.([.?!])", r"\1", text).strip()


# ---- what an agent says without a call ------------------------------------------------------------------------------


def declined(offer: Offer, rng: Random) -> str:
    """That no tool can do what was asked."""
    what = (
        offer.what
        if offer.verb == "do"
        else f"{'find' if offer.verb == 'find' else 'get' if offer.verb == 'get' else 'calculate'} {offer.noun}"
    )
    start = frame(rng, "answer", "sorry")
    body = frame(rng, "answer", "cannot").format(x=what)
    return (start + body if start else _upper(body)) + "." + frame(rng, "answer", "instead")


def asked_back(missing: Sequence[Asked], rng: Random) -> str:
    """A question for what the call can't be made without."""
    names = [words(asked.name) for asked in missing]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return frame(rng, "answer", "ask").format(p=listed)


def supplied(asked: Asked, value: Any, rng: Random) -> str:
    """The user's answer to `asked_back`."""
    if isinstance(value, bool):
        return (
            rng.choice(["Yes.", "yes please", "Yes, with it."])
            if value
            else rng.choice(["No.", "no", "No, without it."])
        )
    text = frame(rng, "value_supplied").format(v=say(value, rng, share=asked.share), p=words(asked.name))
    return _tidy(
        _upper(text) if rng.random() < 0.3 and text[0].islower() and not re.match(r"\S*[\d/@_.-]", text) else text
    )
