"""What a person reads about the repair tasks: where they come from, the funnel, how hard they are, ten issues."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from gym.javascript.packages import read_packages as read_scripts
from gym.repositories.packages import read_packages
from stages.repositories.javascript import Scripts
from stages.repositories.making import Made

Rows = Sequence[Mapping[str, Any]]


def measure(made: Mapping[str, Made]) -> dict[str, float]:
    """Counts over all repositories, for MLflow."""
    rows = [row for one in made.values() for row in one.rows]
    reasons = sum((Counter(one.reasons) for one in made.values()), Counter[str]())
    candidates = sum(reasons.values())
    metrics: dict[str, float] = {
        "repositories": len(made),
        "tasks": sum(not row["held"] for row in rows),
        "held_tasks": sum(row["held"] for row in rows),
        "functions": len({(row["project"], edit["path"], edit["function"]) for row in rows for edit in _edits(row)}),
        "kinds": len({edit["kind"] for row in rows for edit in _edits(row)}),
        "candidates": candidates,
        "proven_share": reasons["proven"] / candidates if candidates else 0.0,
        "with_snippet": sum(bool(row["snippet"]) for row in rows),
        "names_function": sum(one.names for one in made.values()),
        "forms": len({row["form"] for row in rows}),
    }
    return metrics | {f"candidates_{reason.replace(' ', '_')}": count for reason, count in sorted(reasons.items())}


def _edits(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    edits: list[dict[str, Any]] = json.loads(row["edits"])
    return edits


def card(made: Mapping[str, Made], left_out: Mapping[str, str], teacher: str, seed: int) -> str:
    """Markdown.

    Args:
        left_out: repositories that could not be had, with why.
        teacher: who worded issues, empty where nobody was asked.
    """
    rows = [row for one in made.values() for row in one.rows]
    reasons = sum((Counter(one.reasons) for one in made.values()), Counter[str]())
    known = read_packages()
    lines = [
        "# Repair tasks",
        "",
        f"{sum(not row['held'] for row in rows):,} to learn from, {sum(row['held'] for row in rows):,} for evaluation",
        f"alone, of {len(made):,} repositories. Each is proven by running: some tests fail with the bug, in two runs,",
        "that passed three times without it; others still pass. The good files are in no task.",
        f"Teacher: {teacher or 'not asked'}.",
        "",
        "| repository | licence | tests that count | left out | candidates | tasks | held |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in made.items():
        licence = known[name].licence if name in known else "yours"
        others = ", ".join(f"{count} {reason}" for reason, count in one.left_out.items()) or "none"
        held = sum(row["held"] for row in one.rows)
        tried = sum(one.reasons.values())
        lines.append(f"| {name} | {licence} | {one.tests:,} | {others} | {tried:,} | {len(one.rows) - held} | {held} |")
    lines += [f"- {name} was left out: {why}" for name, why in left_out.items()]
    lines += ["", "| of the candidates | |", "|---|---|"]
    lines += [f"| {reason} | {count:,} |" for reason, count in reasons.most_common()]
    lines += ["", "| kind of bug | proven | tried |", "|---|---|---|"]
    kinds = sorted({kind for one in made.values() for kind in one.kinds})
    for kind in kinds:
        done, tried = (sum(one.kinds.get(kind, (0, 0))[k] for one in made.values()) for k in (0, 1))
        lines.append(f"| {kind.replace('_', ' ')} | {done} | {tried} |")
    lines += ["", *_difficulty(rows), "", "## Ten issues, drawn by the seed"]
    for row in Random(f"{seed}|card").sample(rows, min(10, len(rows))):
        lines += ["", f"### {row['id']} ({row['form'].replace('_', ' ')})", "", *_quoted(row["issue"])]
    return "\n".join(lines) + "\n"


def script_card(made: Scripts) -> str:
    """Markdown on the packages of npm; empty without any."""
    if not made.stored and not made.missing:
        return ""
    known = read_scripts()
    lines = ["", "## JavaScript, for evaluation alone", ""]
    lines += ["| package | licence | tests that count | left out | tasks |", "|---|---|---|---|---|"]
    for one in made.stored:
        name, held = one.project.name, one.baseline
        others = ", ".join(f"{count} {reason}" for reason, count in held.left_out.items()) or "none"
        lines.append(f"| {name} | {known[name].licence} | {len(held.seen):,} | {others} | {len(one.bugs)} |")
    lines += [f"- {name} was left out: {why}" for name, why in made.missing.items()]
    lines += ["", "| of the mutants | |", "|---|---|"]
    lines += [f"| {reason} | {count:,} |" for reason, count in sorted(made.reasons.items())]
    return "\n".join(lines) + "\n"


def _difficulty(rows: Rows) -> list[str]:
    """Single bugs, combinations and bodies to write; failing tests; calls between what is reported and the bug."""
    shapes = Counter("several bugs" if len(_edits(row)) > 1 else _shape(row) for row in rows)
    failing = Counter(_bin(len(json.loads(row["fail_to_pass"])), (1, 5, 20)) for row in rows)
    chain = Counter("unknown" if row["chain"] < 0 else _bin(row["chain"], (1, 2, 3)) for row in rows)
    lines = ["| how hard | | tasks |", "|---|---|---|"]
    for what, counts in (("bugs", shapes), ("failing tests", failing), ("calls from the report to the bug", chain)):
        lines += [f"| {what} | {name} | {count} |" for name, count in sorted(counts.items())]
    return lines


def _shape(row: Mapping[str, Any]) -> str:
    return "a body to write" if _edits(row)[0]["kind"] == "blank_body" else "one"


def _bin(value: int, ends: Sequence[int]) -> str:
    low = 1
    for end in ends:
        if value <= end:
            return str(end) if low >= end else f"{low} to {end}"
        low = end + 1
    return f"{low} or more"


def _quoted(text: str) -> list[str]:
    return [f"> {line}".rstrip() for line in text.splitlines()]
