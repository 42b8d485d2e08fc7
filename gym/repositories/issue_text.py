"""The text of an issue from proven calls: form, voice and amount of detail are drawn, the facts never change.

Every form shows the call, what it gives and what it should give as they were printed; an exception that should come is
told by its name alone.
"""

from collections.abc import Sequence

import numpy as np

from gym.repositories import issue_phrases as phrases
from gym.repositories.issue_facts import Facts, error_of
from gym.repositories.issue_forms import FORMS, Voice, fence, joined, ticked
from gym.repositories.snippets import Failure


def write_text(
    facts: Facts, form: str, rng: np.random.Generator, *, further: bool = False, more: bool = False
) -> str | None:
    """An issue in one of FORMS; None where the facts don't fit it.

    Args:
        further: it goes on from another matter in the same issue, so it has neither title nor greeting.
        more: another matter follows, so it has no closing.

    Raises:
        KeyError: no such form.
    """
    one = facts.proven[0]
    good, broken = one.snippet.good, one.snippet.broken
    words = {"p": facts.project, "f": _name(facts.name, rng)}
    words["e"] = error_of(broken)[0] if broken.startswith("!") else ""
    words["w"] = error_of(good)[0] if good.startswith("!") else ""
    voice = Voice(rng, words)
    symptom = "message" if one.symptom == "other" and words["e"] == words["w"] else one.symptom
    title = _titled(voice, phrases.TITLES[symptom], facts.name)
    opening = joined(voice.draw(phrases.GREETINGS), voice.draw(phrases.CONTEXTS) if form != "report" else "")
    body = FORMS[form](facts, voice)
    if body is None:
        return None
    if further:
        return joined(voice.draw(phrases.FURTHER), body)
    closing = voice.draw(phrases.CLOSINGS)
    if form == "line":
        return joined(title, body)
    return joined(title, opening, body, "" if more else closing)


def write_test_text(
    failure: Failure, project: str, rng: np.random.Generator, *, further: bool = False, more: bool = False
) -> str:
    """An issue that quotes a failing test whole; `further` and `more` as in `write_text`."""
    name = failure.test.partition("[")[0].rsplit("::", 1)[-1]
    voice = Voice(rng, {"p": project, "t": _name(name, rng), "f": _name(name, rng)})
    title = _titled(voice, phrases.TEST_TITLES, name)
    opening = voice.draw(phrases.GREETINGS)
    message = "\n".join(f"{failure.error}: {failure.message}".rstrip(": ").splitlines()[:8])
    path = failure.test.split("::")[0]
    where = f"`{path}`" if voice.chance(0.6) else ""
    told = [voice.draw(phrases.MESSAGES), fence(message)] if message else []
    return joined(
        voice.draw(phrases.FURTHER) if further else title,
        "" if further else opening,
        voice.draw(phrases.TESTS),
        where,
        fence(failure.source, "python"),
        *told,
        "" if further or more else voice.draw(phrases.CLOSINGS),
    )


def _name(name: str, rng: np.random.Generator) -> str:
    return ticked(name) if rng.random() < 0.6 or "_" in name else name


def _titled(voice: Voice, titles: Sequence[str], name: str) -> str:
    prefix, title = voice.draw(phrases.PREFIXES), voice.draw(titles)
    if prefix.strip(": ") and prefix.strip(": ") in title:
        prefix = ""
    if (
        not prefix
        and not title.startswith((name, "`"))
        and title[:1].islower()
        and not title.startswith(voice.words.get("e") or "\n")
    ):
        title = title[0].upper() + title[1:]
    return f"{'# ' if voice.chance(0.6) else ''}{prefix}{title}"
