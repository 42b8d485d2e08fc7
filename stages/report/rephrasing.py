"""The report's section about rephrasing: accepted shares by style, and texts beside their sources."""

import html
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.report.page import Chapter, table

SHOWN = 6


def rephrasing(root: Path) -> Chapter:
    """Accepted share by style, then accepted and rejected texts, each beside its source and with the reason."""
    path = root / "data" / "rephrased.parquet"
    if not path.exists():
        return Chapter("rephrasing", "Rephrasing", "<p>not run</p>")
    columns = ["doc_id", "style", "perspective", "text", "accepted", "reason"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    styles: dict[str, list[bool]] = {}
    for row in rows:
        styles.setdefault(row["style"], []).append(row["accepted"])
    counted = table(
        ["style", "rephrasings", "accepted"],
        [
            [style, f"{len(accepted):,}", f"{sum(accepted) / len(accepted):.0%}"]
            for style, accepted in sorted(styles.items())
        ],
        [1, 2],
    )
    shown = [*_spread([row for row in rows if row["accepted"]]), *_spread([row for row in rows if not row["accepted"]])]
    corpus = pq.read_table(root / "data" / "corpus.parquet", columns=["doc_id", "text"])
    wanted = corpus.filter(pc.field("doc_id").isin([row["doc_id"] for row in shown])).to_pylist()
    sources = {row["doc_id"]: row["text"] for row in wanted}
    body = counted + "".join(_pair(row, sources.get(row["doc_id"], "")) for row in shown)
    lead = (
        "Style × perspective, chunk by chunk; a text counts only when its source's names, numbers and meaning are kept."
    )
    return Chapter("rephrasing", "Rephrasing", body, lead)


def _spread(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Up to SHOWN rows, styles in turn."""
    by_style: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_style.setdefault(row["style"], []).append(row)
    turns = max(map(len, by_style.values()), default=0)
    return [group[turn] for turn in range(turns) for _, group in sorted(by_style.items()) if turn < len(group)][:SHOWN]


def _pair(row: dict[str, Any], source: str) -> str:
    verdict = "accepted" if row["accepted"] else "rejected"
    title = html.escape(f"{verdict} · {row['style']}, {row['perspective']} · {row['doc_id']}")
    reason = f"<p class='soft'>{html.escape(row['reason'])}</p>" if row["reason"] else ""
    sides = (("source", source), ("rephrased", row["text"]))
    pair = "".join(f"<div><b>{name}</b><pre>{html.escape(text)}</pre></div>" for name, text in sides)
    return f'<details><summary>{title}</summary>{reason}<div class="pair">{pair}</div></details>'
