"""Forms of an issue: each shows the call, what it gives and what it should give, and fits some facts only."""

import ast
import re
from collections.abc import Callable, Sequence

import numpy as np

from gym.repositories import issue_phrases as phrases
from gym.repositories.issue_facts import Facts, got, want
from gym.repositories.snippets import ProvenCall, merged

INLINE = 90  # characters that fit into a sentence


class Voice:
    """Draws phrases and fills them."""

    def __init__(self, rng: np.random.Generator, words: dict[str, str]) -> None:
        self.rng, self.words = rng, words

    def draw(self, choices: Sequence[str], **more: str) -> str:
        return _filled(choices[int(self.rng.integers(len(choices)))], self.words | more)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)


Form = Callable[[Facts, Voice], str | None]


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)


def joined(*parts: str) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(part for part in parts if part)


def ticked(text: str) -> str:
    if "`" in text:
        return f"`` {text} ``"
    return f"`{text}`"


def _short(one: ProvenCall) -> bool:
    parts = (one.snippet.expression, got(one), want(one))
    return not one.setup and all(len(part) <= INLINE and "\n" not in part for part in parts)


def fence(text: str, language: str = "") -> str:
    return f"```{language}\n{text}\n```"


def _said(phrase: str, word: str, value: str, voice: Voice) -> str:
    """A phrase with a value: within the line where it is short, below it else."""
    if not value or (len(value) <= INLINE and "\n" not in value):
        return _filled(phrase, {word: ticked(value) if voice.chance(0.7) or "*" in value or "_" in value else value})
    lead = phrase.replace(f"{{{word}}}", "").rstrip(" .,:;")
    return f"{lead}:\n\n{fence(value)}"


def _expected(one: ProvenCall, voice: Voice) -> str:
    kind = "error" if one.snippet.good.startswith("!") else "value"
    return _said(_raw(voice, phrases.EXPECTED[kind]), "want", want(one), voice)


def _actual(one: ProvenCall, voice: Voice) -> str:
    kind = "endless" if one.symptom == "endless" else "error" if one.snippet.broken.startswith("!") else "value"
    return _said(_raw(voice, phrases.ACTUAL[kind]), "got", got(one), voice)


def _raw(voice: Voice, choices: Sequence[str]) -> str:
    return choices[int(voice.rng.integers(len(choices)))]


def _session(one: ProvenCall) -> str:
    """An interactive session, as Python's own prompt shows it."""
    rows = []
    for part in [*one.imports, *one.setup, one.snippet.expression]:
        first, *rest = [row for row in part.split("\n") if row]
        rows += [f">>> {first}", *(f"... {line}" for line in rest)]
        if rest and first.startswith(("def ", "class ", "@", "for ", "if ", "with ")):
            rows.append("...")
    if one.symptom == "endless":
        rows += ["^C", "KeyboardInterrupt"]
    elif one.snippet.broken.startswith("!"):
        rows += ["Traceback (most recent call last):", "  ...", got(one)]
    elif got(one) != "None":
        rows.append(got(one))
    return "\n".join(rows)


def _script(one: ProvenCall, last: str) -> str:
    text = "\n".join(one.imports) + ("\n\n" if one.imports else "")
    parts = [*one.setup, last]
    for part, following in zip(parts, [*parts[1:], ""]):
        near = any(held.startswith(("def ", "class ", "@")) for held in (part, following))
        text += part + ("\n\n\n" if near and following else "\n" if following else "")
    return text


def _printed(one: ProvenCall, voice: Voice) -> str:
    expression = one.snippet.expression
    return _script(one, voice.draw((expression, expression, f"print(repr({expression}))", f"result = {expression}")))


def _lead(one: ProvenCall, voice: Voice) -> str:
    return voice.draw(phrases.LEADS["setup" if one.setup and voice.chance(0.5) else ""])


def session(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    if one.in_setup:
        return None
    told = f"\n\n{_actual(one, voice)}" if got(one) == "None" or one.symptom == "endless" else ""
    lead = voice.draw(phrases.LEADS[""])
    return joined(lead, f"{fence(_session(one), 'pycon')}{told}", _expected(one, voice))


def block(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    told = [_actual(one, voice), _expected(one, voice)]
    if voice.chance(0.4):
        told.reverse()
    return joined(_lead(one, voice), fence(_printed(one, voice), "python"), *told)


def comments(facts: Facts, voice: Voice) -> str | None:
    """A script whose comments tell what comes."""
    one = facts.proven[0]
    if one.in_setup or any("\n" in part for part in (got(one), want(one))):
        return None
    if one.symptom == "endless":
        came = "# does not come back"
    else:
        came = voice.draw(("# gives: {got}", "# -> {got}", "# prints {got}", "# got {got}"), got=got(one))
        if one.snippet.broken.startswith("!"):
            came = voice.draw(("# raises {got}", "# {got}", "# -> {got}"), got=got(one))
    due = voice.draw(("# should be: {want}", "# expected: {want}", "# expected {want}"), want=want(one))
    return joined(_lead(one, voice), fence(_script(one, one.snippet.expression) + f"\n{came}\n{due}", "python"))


def headings(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    steps, expected, actual, version = phrases.HEADINGS[int(voice.rng.integers(len(phrases.HEADINGS)))]
    due = want(one) if not one.snippet.good.startswith("!") else f"{want(one)} is raised"
    came = got(one) or voice.draw(phrases.ACTUAL["endless"])
    if one.symptom == "silent":
        came = f"no exception; the value is {came}"
    parts = [(steps, fence(_printed(one, voice), "python")), (expected, _block(due)), (actual, _block(came))]
    if facts.version and voice.chance(0.4):
        parts.append((version, f"{facts.project} {facts.version}"))
    return joined(*(f"{head}\n\n{text}" for head, text in parts))


def _block(text: str) -> str:
    return text if len(text) <= INLINE and not re.search(r"[`*_<>\n]", text) else fence(text)


def prose(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    if not _short(one):
        return None
    told = _sentence(one, voice)
    start = ticked("; ".join(one.imports))
    return joined(told + (f" ({voice.draw(('after', 'with', 'first'))} {start})" if one.imports else ""))


def _sentence(one: ProvenCall, voice: Voice) -> str:
    values = {"call": one.snippet.expression, "got": got(one), "want": want(one)}
    return voice.draw(phrases.SENTENCES[one.symptom], **{name: ticked(value) for name, value in values.items()})


def line(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    if not _short(one):
        return None
    came = got(one) or "no end"
    start = "; ".join([*one.imports, one.snippet.expression])
    return voice.draw(
        (
            "`{start}` -> `{came}`, should be `{due}`",
            "`{start}` gives `{came}` (expected: `{due}`)",
            "{start}  =>  {came}   (want: {due})",
            "`{start}`: `{came}` instead of `{due}`",
        ),
        start=start,
        came=came,
        due=want(one),
    )


def documentation(facts: Facts, voice: Voice) -> str | None:
    one = facts.proven[0]
    if one.in_setup:
        return None
    body = fence(_session(one), "pycon")
    told = f"\n\n{_actual(one, voice)}" if got(one) == "None" or one.symptom == "endless" else ""
    if one.relation == "documented":
        return joined(voice.draw(phrases.EXAMPLES), body + told, _expected(one, voice))
    if not facts.quote:
        return None
    return joined(
        voice.draw(phrases.QUOTES), f"> {facts.quote}", voice.draw(phrases.BUTS), body + told, _expected(one, voice)
    )


def report(facts: Facts, voice: Voice) -> str | None:
    """A red build, then the call."""
    if not facts.tests:
        return None
    one = facts.proven[0]
    named = "\n".join(f"FAILED {test}" for test in facts.tests)
    choices = phrases.REPORTS if facts.failing > len(facts.tests) else phrases.REPORTS_ALL
    opening = voice.draw(choices)
    code = fence(_printed(one, voice), "python")
    return joined(opening, fence(named), voice.draw(phrases.BOILS), code, _actual(one, voice), _expected(one, voice))


def calls(facts: Facts, voice: Voice) -> str | None:
    """Two or three calls, as a list or as a table."""
    short = [one for one in facts.proven if _short(one)][:3]
    if len(short) < 2 or facts.proven[0] not in short:
        return None
    imports = merged([line for one in short for line in one.imports])
    opening = voice.draw(phrases.LISTS)
    start = fence("\n".join(imports), "python") if imports else ""
    if voice.chance(0.35) and not any(
        "|" in part for one in short for part in (one.snippet.expression, got(one), want(one))
    ):
        rows = ["| call | expected | actual |", "|---|---|---|"]
        rows += [
            f"| {ticked(one.snippet.expression)} | {ticked(want(one))} | {ticked(got(one) or 'no end')} |"
            for one in short
        ]
        return joined(opening, start, "\n".join(rows))
    return joined(opening, start, "\n".join(f"- {_sentence(one, voice)}" for one in short))


def traceback(facts: Facts, voice: Voice) -> str | None:
    """A traceback down to where the changed files begin."""
    one = facts.proven[0]
    if not one.snippet.broken.startswith("!") or one.symptom == "endless":
        return None
    rows = ["Traceback (most recent call last):"]
    for path, number, function, text in one.frames:
        if path in facts.hidden:
            break
        if not path.startswith(("/", "<")):
            rows += [f'  File "{path}", line {number}, in {function}', f"    {text}"]
    if len(rows) == 1:
        return None
    script = _script(one, one.snippet.expression)
    rows += ["  ...", got(one)]
    return joined(
        _lead(one, voice),
        fence(script, "python"),
        voice.draw(phrases.TRACES),
        fence("\n".join(rows)),
        _expected(one, voice),
    )


def assertion(facts: Facts, voice: Voice) -> str | None:
    """A script that should run through."""
    one = facts.proven[0]
    if one.symptom not in ("wrong", "crash") or not _literal(one.snippet.good):
        return None
    good, expression = one.snippet.good, one.snippet.expression
    if not isinstance(ast.parse(expression, mode="eval").body, ast.Call | ast.Attribute | ast.Subscript | ast.Name):
        if good != "True":
            return None
        test = expression
    else:
        test = f"{expression} {'is' if good in ('True', 'False', 'None') else '=='} {good}"
    opening = voice.draw(
        ("This should run without an error, but does not:", "I expect this to pass:", "This assertion fails:")
    )
    return joined(opening, fence(_script(one, f"assert {test}"), "python"), _actual(one, voice))


def _literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


FORMS: dict[str, Form] = {
    "session": session,
    "block": block,
    "comments": comments,
    "headings": headings,
    "prose": prose,
    "line": line,
    "documentation": documentation,
    "report": report,
    "calls": calls,
    "traceback": traceback,
    "assertion": assertion,
}
