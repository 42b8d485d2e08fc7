"""The data card: what is in the corpus, where it came from, what was dropped."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def data_card(
    entries: Mapping[tuple[str, str], Counter[str]],
    relations: Mapping[str, int],
    dropped: Mapping[tuple[str, str], int],
    repeated: Sequence[str],
    params: Mapping[str, Any],
) -> str:
    """Markdown.

    Args:
        entries: (source, licence) → how many `documents` and `bytes`, and how many documents of each split.
        relations: relation → how many facts.
        dropped: (source, reason) → how many documents were left out.
        repeated: a line about each file that was named twice.
    """
    lines = ["# Corpus", "", *_head("source", "licence", "documents", "MB", "train", "validation")]
    for (source, licence), entry in sorted(entries.items()):
        sizes = [
            f"{entry['documents']:,}",
            f"{entry['bytes'] / 1e6:.2f}",
            f"{entry['train']:,}",
            f"{entry['validation']:,}",
        ]
        lines.append(_row(source, licence, *sizes))
    lines += ["", "## What was dropped", "", *_head("source", "reason", "documents")]
    lines += [_row(source, reason, f"{count:,}") for (source, reason), count in sorted(dropped.items())]
    lines += ["", *(f"- {line}" for line in repeated)] if repeated else []
    lines += ["", "## Closed-book facts", "", *_head("relation", "questions")]
    lines += [_row(relation, f"{count:,}") for relation, count in sorted(relations.items())]
    lines += ["", "Every answer stands word for word in the text of its document.", "", "## Parameters", ""]
    lines += [f"- `{key}`: {value}" for key, value in sorted(params.items())]
    return "\n".join(lines) + "\n"


def _head(*names: str) -> list[str]:
    """A table's first two lines; what is counted stands right."""
    text = ("source", "licence", "reason", "relation")
    return [_row(*names), f"|{'|'.join('---' if name in text else '---:' for name in names)}|"]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
