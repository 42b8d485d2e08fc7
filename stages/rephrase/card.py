"""What a person reads about the rephrasings: accepted shares, reasons, and samples of both kinds."""

from typing import Any

from agents.rephrase.rewrite import Rephrasing
from agents.rephrase.styles import STYLES
from stages.rephrase.tally import Tally


def card(tally: Tally, documents: int, teacher: str, p: dict[str, Any]) -> str:
    lines = [
        "# Rephrasings",
        "",
        f"Teacher: {teacher}. Texts: {tally.total('texts'):,}, of {documents:,} documents.",
        "A chunk without a faithful wording keeps the source's sentences; a text is rejected when too few chunks have"
        " one, when the whole misses a threshold, or when the judge (where there is one) finds a fact lost or new.",
        "",
        "| style | texts | accepted | chunks reworded | candidates passed |",
        "|---|---|---|---|---|",
    ]
    shares = tally.shares()
    for style in STYLES:
        if counts := tally.counts.get(style):
            row = [shares[f"{style}_{key}"] for key in ("accepted", "chunks_reworded", "candidates_passed")]
            lines.append(f"| {style} | {counts['texts']:,} | " + " | ".join(f"{value:.1%}" for value in row) + " |")
    lines += ["", "## Why candidates were rejected", ""]
    ordered = sorted(tally.reasons.items(), key=lambda item: (-item[1], item[0]))
    lines += [f"- {reason or 'passed'}: {n:,}" for reason, n in ordered]
    lines += ["", "## Texts drawn by seed", ""]
    for done in tally.drawn:
        lines += _sample(done)
    lines += ["## The first of each kind", ""]
    for style in STYLES:
        for accepted in (True, False):
            for done in tally.samples.get((style, accepted), ()):
                lines += _sample(done)
        if wrong := tally.wordings.get(style):
            lines += [f"### {style}: rejected wordings", ""]
            lines += [
                f"- {reason}: `{_one_line(wording)}` for `{_one_line(chunk)}`" for reason, wording, chunk in wrong
            ]
            lines.append("")
    lines += ["## Parameters", "", *(f"- {key}: {value}" for key, value in sorted(p.items())), ""]
    return "\n".join(lines)


def _sample(done: Rephrasing) -> list[str]:
    verdict = "accepted" if done.accepted else f"rejected: {done.reason}"
    title = f"### {done.job.style}, {done.job.perspective}, {done.job.doc_id}: {verdict}"
    return [title, "", "Source:", "", _quote(done.job.text), "", "Rephrased:", "", _quote(done.text), ""]


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
