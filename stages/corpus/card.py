"""The data card: what is in the corpus, where it came from, what was dropped."""

from collections import Counter
from collections.abc import Sequence
from typing import Any


def data_card(
    rows: Sequence[dict[str, Any]], facts: Sequence[dict[str, Any]], counts: dict[str, int], params: dict[str, Any]
) -> str:
    """Markdown; `counts` says how many documents were left after each step of cleaning."""
    sources: dict[str, Counter[str]] = {}
    licences: dict[str, str] = {}
    for row in rows:
        entry = sources.setdefault(row["source"], Counter())
        entry["docs"] += 1
        entry["bytes"] += len(row["text"].encode())
        entry[row["split"]] += 1
        licences[row["source"]] = row["license"]
    lines = ["# Corpus", "", "| source | licence | documents | MB | train | validation |"]
    lines += ["|---|---|---:|---:|---:|---:|"]
    for source, entry in sorted(sources.items()):
        cells = [source, licences[source], f"{entry['docs']:,}", f"{entry['bytes'] / 1e6:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {entry['train']:,} | {entry['validation']:,} |")
    lines += ["", "## What was dropped", "", "| step | documents left |", "|---|---:|"]
    lines += [f"| {step} | {left:,} |" for step, left in counts.items()]
    relations = Counter(fact["relation"] for fact in facts)
    lines += ["", "## Closed-book facts", "", "| relation | questions |", "|---|---:|"]
    lines += [f"| {relation} | {n:,} |" for relation, n in sorted(relations.items())]
    lines += ["", "Every answer stands word for word in the text of its document.", "", "## Parameters", ""]
    lines += [f"- `{key}`: {value}" for key, value in sorted(params.items())]
    return "\n".join(lines) + "\n"
