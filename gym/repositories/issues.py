"""Issues for repair tasks: what a user would report of a bug, without saying where it is.

Offline, all words are drawn; where there is a teacher, `rewritten` has it tell the same facts in its own words.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gym.repositories.issue_facts import Facts, got, holds_facts, want
from gym.repositories.issue_forms import FORMS
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
_DIAGNOSES = re.compile(
    r"off[- ]by[- ]one|\b(swapped|inverted|negated|reversed)\b (argument|condition|comparison|operand|value)"
    r"|wrong (variable|operator|comparison|default)"
    r"|(missing|removed|dropped|forgotten) (return|branch|raise|break|continue|condition|argument|assignment|else)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Issue:
    """An issue and what it rests on.

    form: a name of FORMS, or `quoted_test`. chain: calls from the reported to the changed function, that one included.
    quoted: ids of tests that the text shows or names: the solver may see them. names: what it gives away, where that
    could not be avoided.
    """

    text: str
    form: str
    snippet: Snippet | None
    chain: int | None
    quoted: tuple[str, ...]
    names: tuple[str, ...]
    proven: ProvenCall | None = None


def gives_away(text: str, project: Project, edits: Sequence[Edit]) -> tuple[str, ...]:
    """What a text says about the place and the kind of a bug: `file PATH`, `kind KIND`, `function NAME`."""
    found = []
    for edit in edits:
        name = edit.path.rsplit("/", 1)[-1]
        if edit.path in text or re.search(rf"(?<![\w/.]){re.escape(name)}", text):
            found.append(f"file {edit.path}")
        kind = edit.kind.replace("_", "[ _-]")
        if "_" in edit.kind and re.search(rf"\b{kind}\b", text, re.IGNORECASE):
            found.append(f"kind {edit.kind}")
        if said := _DIAGNOSES.search(text):
            found.append(f"kind {said[0]}")
        *owners, function = edit.function.split(".")
        if function and _names_function(text, owners, function):
            found.append(f"function {edit.function}")
    return tuple(dict.fromkeys(found))


def _names_function(text: str, owners: Sequence[str], function: str) -> bool:
    """A method by its name after a dot; `__init__` and `__call__` by their class, which is what one calls."""
    if function in ("__init__", "__call__", "__new__") and owners:
        return re.search(rf"\b{re.escape(owners[-1])}\b", text) is not None
    return re.search(rf"(?<!\w)(?:test_)?{re.escape(function)}(?!\w)", text) is not None


def write_issue(
    box: Box, project: Project, edits: Sequence[Edit], fail_to_pass: Sequence[str], rng: np.random.Generator
) -> Issue | None:
    """An issue for the bug, by a call that is proven to show it, else by a quoted failing test; None where neither is.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    broken = apply_edits(project.files, tuple(edits))
    seen: list[Failure] = []
    order = _spread(fail_to_pass)
    for start in range(0, min(len(order), BATCHES * TESTS), TESTS):
        failures = describe(box, project, broken, order[start : start + TESTS], edits)
        issue = _from_calls(box, project, broken, edits, fail_to_pass, failures, rng)
        if issue is not None:
            return issue
        seen += failures
    return _from_test(project, edits, seen, rng)


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


def _from_calls(
    box: Box,
    project: Project,
    broken: dict[str, bytes],
    edits: Sequence[Edit],
    fail_to_pass: Sequence[str],
    failures: Sequence[Failure],
    rng: np.random.Generator,
) -> Issue | None:
    candidates = _candidates(failures)
    if not candidates:
        return None
    proven = [one for one in prove(box, project, broken, candidates, edits) if one is not None]
    proven = [
        one for one in proven if not any(name.startswith(("file", "kind")) for name in _says_of(one, project, edits))
    ]
    if not proven:
        return None
    ranked = sorted(proven, key=lambda one: (len(_says_of(one, project, edits)), _plainness(one)))
    first = _says_of(ranked[0], project, edits), _plainness(ranked[0])[0]
    best = [one for one in ranked if (_says_of(one, project, edits), _plainness(one)[0]) == first]
    main = best[int(rng.integers(min(3, len(best))))]
    rest: dict[str, ProvenCall] = {}
    for one in best:
        if one.snippet.expression != main.snippet.expression:
            rest.setdefault(one.snippet.good + one.snippet.broken, one)
    least = set(_says_of(main, project, edits))
    name = called(main, project)
    facts = Facts(
        project=project.name,
        version=project.version,
        proven=(main, *list(rest.values())[:2]),
        name=name,
        quote=sentence_about(project, name) if len(_imported(main, project)) == 1 else "",
        tests=tuple(_spread(fail_to_pass)[:2]),
        failing=len(fail_to_pass),
        hidden=tuple(edit.path for edit in edits),
    )
    issue = None
    for _ in range(TRIES):
        form = list(FORMS)[int(rng.integers(len(FORMS)))]
        text = write_text(facts, form, rng)
        if text is None or not holds_facts(text, main):
            continue
        names = gives_away(text, project, edits)
        quoted = facts.tests if form == "report" else ()
        if issue is None or len(names) < len(issue.names):
            issue = Issue(text, form, main.snippet, main.chain, quoted, names, main)
        if set(names) <= least:
            return issue
    return issue


def _candidates(failures: Sequence[Failure]) -> list[Candidate]:
    """The first call of each failure, then the second ones, without doubles."""
    rounds = max((len(failure.candidates) for failure in failures), default=0)
    drawn = [failure.candidates[k] for k in range(rounds) for failure in failures if k < len(failure.candidates)]
    return list(dict.fromkeys(drawn))[:CANDIDATES]


def _says_of(one: ProvenCall, project: Project, edits: Sequence[Edit]) -> tuple[str, ...]:
    """What the facts alone give away, however they are told."""
    return gives_away("\n".join([one.snippet.code, want(one), got(one)]), project, edits)


def _plainness(one: ProvenCall) -> tuple[bool, int]:
    """Small for what reads well: a value rather than a truth about it, no failure on the way to it, little text."""
    truth = one.relation == "condition" and one.snippet.good in ("True", "False")
    return truth or one.in_setup, (len(one.snippet.code) + len(one.snippet.good)) // 60 + 3 * one.snippet.code.count(
        "\ndef "
    )


def _from_test(
    project: Project, edits: Sequence[Edit], failures: Sequence[Failure], rng: np.random.Generator
) -> Issue | None:
    quotable = [failure for failure in failures if failure.source]
    if not quotable:
        return None
    best: Issue | None = None
    for failure in sorted(quotable, key=lambda one: len(one.source))[:4]:
        text = write_test_text(failure, project.name, rng)
        names = gives_away(text, project, edits)
        if best is None or len(names) < len(best.names):
            best = Issue(text, QUOTED_TEST, None, None, (failure.test,), names)
    return best if best is not None and not any(name.startswith(("file", "kind")) for name in best.names) else None


def _imported(one: ProvenCall, project: Project) -> set[str]:
    """Names that the program has of the project."""
    found = set()
    for statement in ast.parse("\n".join(one.imports)).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                module = statement.module or "" if isinstance(statement, ast.ImportFrom) else alias.name
                if module.split(".")[0] in project.packages:
                    found.add((alias.asname or alias.name).split(".")[0])
    return found


def called(one: ProvenCall, project: Project) -> str:
    """What of the project the reported program calls, as a user would name it: `take`, `Box.turned`."""
    imported = _imported(one, project)
    for part in (one.snippet.expression, *reversed(one.setup)):
        for node in ast.walk(ast.parse(part)):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id=owner)), attr=name)) if (
                    owner in imported
                ):
                    return f"{owner}.{name}" if owner[:1].isupper() else owner
                case ast.Call(func=ast.Name() | ast.Attribute() as func) if _root(func) in imported:
                    return ast.unparse(func)
                case ast.Attribute() if _root(node) in imported:
                    return ast.unparse(node)
    return sorted(imported)[0] if imported else project.name


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def sentence_about(project: Project, name: str) -> str:
    """The first sentence of the documentation of what is called; empty where its name is not one function's alone."""
    found = [text for one, text in _documentation(project) if one == name.rsplit(".", 1)[-1]]
    if len(found) != 1:
        return ""
    first = " ".join(found[0].split("\n\n")[0].split())
    return first if 15 < len(first) < 200 and ">>>" not in first else ""


@lru_cache(maxsize=8)
def _documentation_of(contents: tuple[bytes, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for content in contents:
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append((node.name, ast.get_docstring(node) or ""))
    return tuple(found)


def _documentation(project: Project) -> tuple[tuple[str, str], ...]:
    return _documentation_of(tuple(project.files[path] for path in project.code))


def rewritten(
    issue: Issue, project: Project, edits: Sequence[Edit], complete: Callable[[str], str], tries: int = 2
) -> Issue:
    """The issue in a teacher's words, or as it was where none of its tries holds the facts and hides the place.

    Args:
        complete: gives a model's answer to a prompt.
    """
    if issue.proven is None:
        return issue
    for _ in range(tries):
        text = complete(_prompt(issue, project.name)).strip()
        names = gives_away(text, project, edits)
        if 40 < len(text) < 4000 and holds_facts(text, issue.proven) and set(names) <= set(issue.names):
            return replace(issue, text=text, form="teacher", names=names)
    return issue


def _prompt(issue: Issue, project: str) -> str:
    return (
        f"Below is a bug report for the Python library {project}. Write it anew as another user would: a title, then a "
        "short text. Keep every expression, value and error message exactly as it is, letter by letter. Say nothing "
        "that is not in it: no cause, no file, no guess, nothing about earlier versions or other inputs. Answer with "
        f"the report alone.\n\n{issue.text}\n"
    )
