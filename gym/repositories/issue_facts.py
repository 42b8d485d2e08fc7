"""What an issue may tell: proven calls, and how their values are written."""

from dataclasses import dataclass

from gym.repositories.snippets import ProvenCall


@dataclass(frozen=True)
class Facts:
    """What an issue may tell.

    proven: calls, the first one is the matter. name: what the first calls, such as `take`. quote: a sentence of its
    documentation or nothing. tests: failing tests that may be named, and failing: how many fail. hidden: paths of the
    changed files, of which no frame is shown.
    """

    project: str
    version: str
    proven: tuple[ProvenCall, ...]
    name: str
    quote: str = ""
    tests: tuple[str, ...] = ()
    failing: int = 0
    hidden: tuple[str, ...] = ()


def error_of(value: str) -> tuple[str, str]:
    """(name, text) of an exception as `Snippet` holds it."""
    name, _, text = value[1:].partition(": ")
    return name, text


def got(one: ProvenCall) -> str:
    """What came, as a person would copy it."""
    if one.symptom == "endless":
        return ""
    broken = one.snippet.broken
    return broken[1:].removesuffix(": ") if broken.startswith("!") else broken


def want(one: ProvenCall) -> str:
    """What should come; of an exception its name, and its text where that alone differs."""
    good, broken = one.snippet.good, one.snippet.broken
    if not good.startswith("!"):
        return good
    return (
        good[1:].removesuffix(": ")
        if one.symptom == "other" and error_of(good)[0] == error_of(broken)[0]
        else error_of(good)[0]
    )


def holds_facts(text: str, one: ProvenCall) -> bool:
    """Whether the call and both values stand in the text, letter by letter."""
    return one.snippet.expression in text and want(one) in text and got(one) in text
