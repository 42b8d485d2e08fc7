"""Issues for repair tasks: what a user would report of a bug, without saying where it is.

Offline, all words are drawn; where there is a teacher, `rewritten` has it tell the same facts in its own words.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gym.repositories.issue_facts import Facts, got, holds_facts, want
from gym.repositories.issue_forms import FORMS
from gym.repositories.issue_leaks import gives_away
from gym.repositories.issue_naming import called, imported, sentence_about
from gym.repositories.issue_text import write_test_text, write_text
from gym.repositories.project import Project
from gym.repositories.snippets import Candidate, Failure, ProvenCall, describe, prove
from gym.repositories.task import Edit, Snippet, apply_edits
from gym.sandbox import Box

TESTS = 8  # failing tests that are looked at at once
BATCHES = 3
CANDIDATES = 16  # calls that are run
TRIES = 12  # forms that are tried
QUOTED_TEST = "quoted_test"
TEACHER = "teacher"


@dataclass(frozen=True)
class Issue:
    """An issue and what it rests on; of several bugs each is told.

    form: a name of FORMS, `quoted_test` or `teacher`; of several bugs joined by `+`. snippet, chain: the first proven
    call, and the calls from it to the changed function, that one included. quoted: ids of tests that the text shows or
    names: the solver may see them. names: what it gives away, where that could not be avoided. proven: all calls that
    it must hold.
    """

    text: str
    form: str
    snippet: Snippet | None
    chain: int | None
    quoted: tuple[str, ...]
    names: tuple[str, ...]
    proven: tuple[ProvenCall, ...] = ()


@dataclass(frozen=True)
class _Matter:
    """What one issue is about. further, more: whether another bug is told before it, after it in the same text."""

    box: Box
    project: Project
    edits: Sequence[Edit]
    fail_to_pass: Sequence[str]
    rng: np.random.Generator
    further: bool = False
    more: bool = False

    def away(self, text: str) -> tuple[str, ...]:
        return gives_away(text, self.project, self.edits)

    def facts_away(self, one: ProvenCall) -> tuple[str, ...]:
        """What a call gives away however it is told."""
        return self.away("\n".join([one.snippet.code, want(one), got(one)]))


def write_issue(
    box: Box, project: Project, edits: Sequence[Edit], fail_to_pass: Sequence[str], rng: np.random.Generator
) -> Issue | None:
    """An issue that tells of every edit, by a call that is proven to show it, else by a quoted failing test.

    None where nothing can be said of one of them.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    parts: list[Issue] = []
    for number, edit in enumerate(edits, 1):
        part = _one(_Matter(box, project, edits, fail_to_pass, rng, number > 1, number < len(edits)), edit)
        if part is None:
            return None
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    first = next((part for part in parts if part.snippet is not None), parts[0])
    text = "\n\n".join(part.text for part in parts)
    return Issue(
        text=text,
        form="+".join(part.form for part in parts),
        snippet=first.snippet,
        chain=first.chain,
        quoted=tuple(dict.fromkeys(test for part in parts for test in part.quoted)),
        names=gives_away(text, project, edits),
        proven=tuple(one for part in parts for one in part.proven),
    )


def _one(matter: _Matter, edit: Edit) -> Issue | None:
    """The part of an issue that one of the edits is the cause of; its calls are proven with all of them made."""
    alone = apply_edits(matter.project.files, (edit,))
    seen: list[Failure] = []
    order = _spread(matter.fail_to_pass)
    for start in range(0, min(len(order), BATCHES * TESTS), TESTS):
        failures = describe(matter.box, matter.project, alone, order[start : start + TESTS], (edit,))
        proven = _proven(matter, edit, failures)
        issue = _from_calls(matter, proven) if proven else None
        if issue is not None:
            return issue
        seen += failures
    return _from_test(matter, seen)


def _spread(tests: Sequence[str]) -> list[str]:
    """The first parameters of each test function before the second ones, and files by turns."""
    functions: Counter[str] = Counter()
    files: Counter[tuple[str, int]] = Counter()
    ranked = []
    for test in tests:
        function, file = test.partition("[")[0], test.partition("::")[0]
        turn = functions[function]
        functions[function] += 1
        ranked.append((turn, files[file, turn], test))
        files[file, turn] += 1
    return [test for _, _, test in sorted(ranked, key=lambda one: one[:2])]


def _proven(matter: _Matter, edit: Edit, failures: Sequence[Failure]) -> list[ProvenCall]:
    """Proven calls that tell neither file nor kind, those that give least away and read best first."""
    candidates = _candidates(failures)
    broken = apply_edits(matter.project.files, tuple(matter.edits))
    proven = prove(matter.box, matter.project, broken, candidates, (edit,)) if candidates else []
    away = {one: matter.facts_away(one) for one in proven if one is not None}
    kept = [one for one, names in away.items() if not any(name.startswith(("file", "kind")) for name in names)]
    return sorted(kept, key=lambda one: (len(away[one]), _plainness(one)))


def _from_calls(matter: _Matter, proven: Sequence[ProvenCall]) -> Issue | None:
    least, truth = matter.facts_away(proven[0]), _plainness(proven[0])[0]
    best = [one for one in proven if (matter.facts_away(one), _plainness(one)[0]) == (least, truth)]
    main = best[int(matter.rng.integers(min(3, len(best))))]
    rest: dict[str, ProvenCall] = {}
    for one in best:
        if one.snippet.expression != main.snippet.expression:
            rest.setdefault(one.snippet.good + one.snippet.broken, one)
    project, name = matter.project, called(main, matter.project)
    facts = Facts(
        project=project.name,
        version=project.version,
        proven=(main, *list(rest.values())[:2]),
        name=name,
        quote=sentence_about(project, name) if len(imported(main, project)) == 1 else "",
        tests=() if len(matter.edits) > 1 else tuple(_spread(matter.fail_to_pass)[:2]),
        failing=len(matter.fail_to_pass),
        hidden=tuple(edit.path for edit in matter.edits),
    )
    issue = None
    for _ in range(TRIES):
        form = list(FORMS)[int(matter.rng.integers(len(FORMS)))]
        text = write_text(facts, form, matter.rng, further=matter.further, more=matter.more)
        if text is None or not holds_facts(text, main):
            continue
        names = matter.away(text)
        quoted = facts.tests if form == "report" else ()
        if issue is None or len(names) < len(issue.names):
            issue = Issue(text, form, main.snippet, main.chain, quoted, names, (main,))
        if set(names) <= set(least):
            return issue
    return issue


def _candidates(failures: Sequence[Failure]) -> list[Candidate]:
    """The first call of each failure, then the second ones, without doubles."""
    rounds = max((len(failure.candidates) for failure in failures), default=0)
    drawn = [failure.candidates[k] for k in range(rounds) for failure in failures if k < len(failure.candidates)]
    return list(dict.fromkeys(drawn))[:CANDIDATES]


def _plainness(one: ProvenCall) -> tuple[bool, int]:
    """Small for what reads well: a value rather than a truth about it, no failure on the way to it, little text."""
    truth = one.relation == "condition" and one.snippet.good in ("True", "False")
    return truth or one.in_setup, (len(one.snippet.code) + len(one.snippet.good)) // 60 + 3 * one.snippet.code.count(
        "\ndef "
    )


def _from_test(matter: _Matter, failures: Sequence[Failure]) -> Issue | None:
    """The shortest failing test that gives least away."""
    best: Issue | None = None
    for failure in sorted((one for one in failures if one.source), key=lambda one: len(one.source))[:4]:
        text = write_test_text(failure, matter.project.name, matter.rng, further=matter.further, more=matter.more)
        names = matter.away(text)
        if not any(name.startswith(("file", "kind")) for name in names) and (
            best is None or len(names) < len(best.names)
        ):
            best = Issue(text, QUOTED_TEST, None, None, (failure.test,), names)
    return best


def rewritten(
    issue: Issue, project: Project, edits: Sequence[Edit], complete: Callable[[str], str], tries: int = 2
) -> Issue:
    """The issue in a teacher's words, or as it was where none of its tries holds the facts and hides the place.

    Args:
        complete: gives a model's answer to a prompt.
    """
    if not issue.proven:
        return issue
    for _ in range(tries):
        text = complete(_prompt(issue, project.name)).strip()
        names = gives_away(text, project, edits)
        if (
            40 < len(text) < 4000
            and all(holds_facts(text, one) for one in issue.proven)
            and set(names) <= set(issue.names)
        ):
            return replace(issue, text=text, form=TEACHER, names=names)
    return issue


def _prompt(issue: Issue, project: str) -> str:
    return (
        f"Below is a bug report for the Python library {project}. Write it anew as another user would: a title, then a "
        "short text. Keep every expression, value and error message exactly as it is, letter by letter. Say nothing "
        "that is not in it: no cause, no file, no guess, nothing about earlier versions or other inputs. Answer with "
        f"the report alone.\n\n{issue.text}\n"
    )
