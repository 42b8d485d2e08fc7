"""From failing tests calls that show the bug, each proven: run on the good and on the broken files.

failures = describe(box, project, broken, tests, edits)
prove(box, project, broken, [c for f in failures for c in f.candidates], edits)
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gym.repositories.project import Project
from gym.repositories.suite import OPTIONS
from gym.repositories.task import Edit, Snippet
from gym.sandbox import Box, Job, Limits, SandboxError, Verdict

LIMITS = Limits(cpu_s=90.0, wall_s=300.0, memory_mb=2048, file_mb=64, processes=64)
VALUE = 600  # characters of what a call gives
ENDLESS = "!Endless: no result"
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+|\b0x[0-9a-f]{8,}")
_IMPORT = re.compile(r"from (\S+) import (.+)")
_INSIDE = {
    name: Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    for name in (
        "snippet_inside",
        "program_inside",
        "slice_inside",
        "statements_inside",
        "claims_inside",
        "frames_inside",
        "elsewhere_inside",
    )
}


@dataclass(frozen=True)
class Candidate:
    """A call that may show the bug.

    relation: equal, raises, works, condition, sorted or documented. holds: a condition over `value`, what `expression`
    gave, and `want`, what `expected` gives after the lines of `extra`.
    """

    imports: tuple[str, ...]
    setup: tuple[str, ...]
    expression: str
    relation: str
    holds: str
    expected: str
    extra: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A failing test as it looked on the broken files; without `test`, what the documentation of a function promises.

    source: the whole test where it is short. statement: the first line of the one that failed. why: where there are no
    candidates, what stood against it.
    """

    test: str
    candidates: tuple[Candidate, ...]
    error: str = ""
    message: str = ""
    source: str = ""
    statement: str = ""
    why: str = ""


@dataclass(frozen=True)
class ProvenCall:
    """A snippet and what the runs told beside its values.

    chain: calls of the project's functions from the reported to the changed one, that one included; None where it was
    not seen. frames: (path or `report.py`, line, function, text) of the broken run's exception, outermost first.
    in_setup: whether that came before the expression was reached.
    """

    snippet: Snippet
    imports: tuple[str, ...]
    setup: tuple[str, ...]
    relation: str
    chain: int | None
    frames: tuple[tuple[str, int, str, str], ...] = ()
    in_setup: bool = False

    @property
    def symptom(self) -> str:
        """wrong, crash, silent (no exception where one is due), other (another exception) or endless."""
        good, broken = self.snippet.good, self.snippet.broken
        if broken == ENDLESS:
            return "endless"
        if good.startswith("!"):
            return "other" if broken.startswith("!") else "silent"
        return "crash" if broken.startswith("!") else "wrong"


def describe(
    box: Box, project: Project, broken: Mapping[str, bytes], tests: Sequence[str], edits: Sequence[Edit]
) -> list[Failure]:
    """What each failing test says, by one run on the broken files; at the end the documentation of what was changed.

    Tests that did not fail are missing. An endless test is one that took 8 processor seconds.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    ask = {"options": [*OPTIONS, *project.options], "tests": list(tests)}
    rows = _job(box, project, broken, "snippet_inside", "told.jsonl", ask, edits)
    failures = []
    for row in rows:
        row.pop("function", None)
        candidates = tuple(_candidate(held) for held in row.pop("candidates"))
        failures.append(Failure(candidates=candidates, **row))
    return failures


def prove(
    box: Box, project: Project, broken: Mapping[str, bytes], candidates: Sequence[Candidate], edits: Sequence[Edit]
) -> list[ProvenCall | None]:
    """For each candidate the proven snippet, or None.

    It is proven when its claim holds on the project's own files and not on the broken ones, both give the same on a
    second run years later by the clock, what they give differs, and neither depends on an address, on the seed of
    hashes, on the order of a set or on the place of the files. Of an exception whose text does, the name alone is told:
    `!ValueError`.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    final = list(candidates)
    good = _run(box, project, project.files, final, edits, useless=False)
    sets = [number for number, told in enumerate(good) if told.get("holds") and told["unordered"] and told.get("set")]
    for number in sets:  # a set of texts has no order of its own: its elements are shown sorted
        final[number] = replace(
            final[number],
            expression=f"sorted({final[number].expression})",
            relation="sorted",
            holds="True",
            expected="",
        )
    for number, told in zip(sets, _run(box, project, project.files, [final[k] for k in sets], edits, useless=False)):
        good[number] = told
        final[number] = replace(final[number], holds=f"repr(value) == {told.get('value')!r}")
    kept = [number for number, told in enumerate(good) if told.get("holds") and _certain(told)]
    proven: list[ProvenCall | None] = [None] * len(final)
    for number, told in zip(kept, _run(box, project, broken, [final[k] for k in kept], edits, useless=True)):
        one, right, wrong = final[number], _certain(good[number]), _certain(told)
        if right and wrong and wrong != right and not told.get("holds"):
            imports = merged(one.imports)
            code = "\n".join([*imports, *one.setup, one.expression])
            if not _ADDRESS.search(code):
                snippet = Snippet(code, one.expression, right, wrong)
                shown = _frames(told), not told.get("ready", True)
                proven[number] = ProvenCall(snippet, imports, one.setup, one.relation, told["chain"], *shown)
    return proven


def run_snippets(box: Box, project: Project, files: Mapping[str, bytes], snippets: Sequence[Snippet]) -> list[str]:
    """What each snippet prints on these files, as in `Snippet.good`; empty where that is not certain or nothing came.

    Raises:
        SandboxError: the sandbox itself failed.
    """
    bare = [
        Candidate((), (snippet.code.removesuffix(snippet.expression),), snippet.expression, "works", "True", "", ())
        for snippet in snippets
    ]
    ran = _run(box, project, files, bare, (), useless=None)
    return [_certain(told) or "" for told in ran]


def merged(imports: Sequence[str]) -> tuple[str, ...]:
    """One statement a module, plain imports first."""
    plain = sorted({line for line in imports if not _IMPORT.fullmatch(line)})
    names: dict[str, set[str]] = {}
    for line in imports:
        if found := _IMPORT.fullmatch(line):
            names.setdefault(found[1], set()).update(found[2].split(", "))
    return (*plain, *(f"from {module} import {', '.join(sorted(held))}" for module, held in sorted(names.items())))


def _candidate(held: Mapping[str, Any]) -> Candidate:
    lists = {name: tuple(held[name]) for name in ("imports", "setup", "extra")}
    return Candidate(**{**held, **lists})


def _certain(told: Mapping[str, Any]) -> str | None:
    """What came out, if it would come out anywhere and at any time; of an exception at least its name."""
    if told.get("endless"):
        return ENDLESS
    value, again = str(told.get("value", "")), told.get("again")
    if again is None or told["unordered"]:
        return None
    same = _dates(value) == _dates(str(again)) and len(value) <= VALUE
    if same and not _ADDRESS.search(value) and told["place"] not in value and "/tmp/" not in value:
        return value
    name = value.partition(":")[0]
    return name if value.startswith("!") and str(again).partition(":")[0] == name else None


def _dates(value: str) -> str:
    return value.replace("datetime.datetime(", "datetime(").replace("datetime.date(", "date(")


def _frames(told: Mapping[str, Any]) -> tuple[tuple[str, int, str, str], ...]:
    work = f"{told['work']}/"
    rows = [row for row in told.get("frames", ())]
    return tuple(
        (PurePosixPath(path.removeprefix(work)).as_posix(), line, name, text) for path, line, name, text in rows
    )


def _run(
    box: Box,
    project: Project,
    files: Mapping[str, bytes],
    candidates: Sequence[Candidate],
    edits: Sequence[Edit],
    useless: bool | None,
) -> list[dict[str, Any]]:
    if not candidates:
        return []
    ask = {"useless": useless, "programs": [asdict(candidate) for candidate in candidates]}
    rows = _job(box, project, files, "program_inside", "ran.jsonl", ask, edits)
    return rows + [{} for _ in range(len(candidates) - len(rows))]


def _job(
    box: Box,
    project: Project,
    files: Mapping[str, bytes],
    source: str,
    result: str,
    ask: Mapping[str, Any],
    edits: Sequence[Edit],
) -> list[dict[str, Any]]:
    """Rows that an inside program wrote; fewer than asked for where the repository's own code ended it."""
    told = {
        **ask,
        "roots": project.roots,
        "code": project.code,
        "packages": project.packages,
        "changed": [[edit.path, edit.function] for edit in edits],
    }
    environment = {"PYTHONHASHSEED": "0", "TZ": "UTC", **(project.environment or {})}
    beside = {f"{name}.py": text for name, text in _INSIDE.items()}
    tree = {f"tree/{path}": content for path, content in files.items()}
    outcome = box.run(
        Job(
            source=_INSIDE[source],
            files={**tree, **beside, "ask.json": json.dumps(told)},
            env=environment,
            limits=LIMITS,
            keep=[result],
        )
    )
    if outcome.verdict is Verdict.INFRASTRUCTURE_ERROR:
        raise SandboxError(f"{project.name}: {outcome.detail}")
    text = outcome.files.get(result, b"").decode("utf-8", "replace")
    rows = []
    for line in text.splitlines():
        if line.endswith("}"):
            rows.append(json.loads(line))
    if not rows and outcome.verdict in (Verdict.OK, Verdict.WRONG_EXIT) and "Traceback" in outcome.stderr:
        raise SandboxError(f"{project.name}: {source} told nothing: {outcome.detail or outcome.stderr[-300:]}")
    return rows
