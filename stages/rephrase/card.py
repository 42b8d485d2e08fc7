"""What a person reads about the rephrasings: accepted shares, reasons, and samples of both kinds."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from agents.rephrase.rewrite import Rephrasing
from agents.rephrase.styles import STYLES

SAMPLES = 2  # of accepted and of rejected texts, per style
REJECTED_WORDINGS = 4  # per style


def shares(done: Sequence[Rephrasing]) -> dict[str, float]:
    """Metrics: accepted share of texts, of chunks and of candidates, overall and by style."""
    metrics: dict[str, float] = {}
    for style in [None, *STYLES]:
        some = [rephrasing for rephrasing in done if style is None or rephrasing.job.style == style]
        if not some:
            continue
        chunks = [k >= 0 for rephrasing in some for k in rephrasing.chosen]
        candidates = [not c.reason for rephrasing in some for c in rephrasing.candidates]
        prefix = f"{style}_" if style else ""
        metrics[f"{prefix}accepted"] = sum(rephrasing.accepted for rephrasing in some) / len(some)
        metrics[f"{prefix}chunks_reworded"] = sum(chunks) / max(1, len(chunks))
        metrics[f"{prefix}candidates_passed"] = sum(candidates) / max(1, len(candidates))
    return {key: round(value, 4) for key, value in metrics.items()}


def card(done: Sequence[Rephrasing], teacher: str, p: dict[str, Any]) -> str:
    lines = [
        "# Rephrasings",
        "",
        f"Teacher: {teacher}. Texts: {len(done)}, of {len({rephrasing.job.doc_id for rephrasing in done})} documents.",
        "A chunk without a faithful wording keeps the source's sentences; a text is rejected when too few chunks have"
        " one, or when the whole misses a threshold.",
        "",
        "| style | texts | accepted | chunks reworded | candidates passed |",
        "|---|---|---|---|---|",
    ]
    for style in STYLES:
        some = [rephrasing for rephrasing in done if rephrasing.job.style == style]
        if some:
            share = shares(some)
            row = [share[key] for key in ("accepted", "chunks_reworded", "candidates_passed")]
            lines.append(f"| {style} | {len(some)} | " + " | ".join(f"{value:.1%}" for value in row) + " |")
    lines += ["", "## Why candidates were rejected", ""]
    counts = Counter(c.reason or "passed" for rephrasing in done for c in rephrasing.candidates)
    lines += [f"- {reason}: {n}" for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    lines += ["", "## Samples", ""]
    for style in STYLES:
        for accepted in (True, False):
            some = [
                rephrasing for rephrasing in done if rephrasing.job.style == style and rephrasing.accepted == accepted
            ]
            for rephrasing in some[:SAMPLES]:
                verdict = "accepted" if accepted else f"rejected: {rephrasing.reason}"
                lines += [f"### {style}, {rephrasing.job.perspective}, {rephrasing.job.doc_id}: {verdict}", ""]
                lines += ["Source:", "", _quote(rephrasing.job.text), "", "Rephrased:", "", _quote(rephrasing.text), ""]
        wrong = [c for rephrasing in done if rephrasing.job.style == style for c in rephrasing.candidates if c.reason]
        if wrong:
            lines += [f"### {style}: rejected wordings", ""]
            few = wrong[:REJECTED_WORDINGS]
            lines += [f"- {c.reason}: `{_one_line(c.wording)}` for `{_one_line(c.chunk)}`" for c in few]
            lines.append("")
    lines += ["## Parameters", "", *(f"- {key}: {value}" for key, value in sorted(p.items())), ""]
    return "\n".join(lines)


def _quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _one_line(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
