"""A page for each benchmark with ten of its samples, drawn by seed: what was asked, answered, and how it was judged."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from stages.report.page import Chapter, Html, chip, page

FOLDER = Path("report/benchmarks")
SHOWN = 10
LONGEST = 4000  # characters of one text
SECRET = "sha256:"  # stands for a question whose text stays in its package


def page_of(root: Path, name: str) -> str:
    """The benchmark's name, as a link to its page where there are samples."""
    if not (root / "data" / "samples" / f"{name}.parquet").exists():
        return name
    return Html(f'<a href="{FOLDER.name}/{html.escape(name)}.html">{html.escape(name)}</a>')


def write_pages(root: Path, folder: Path, seed: int) -> int:
    """Writes `<name>.html` into `folder` for each table of samples; returns how many."""
    paths = sorted((root / "data" / "samples").glob("*.parquet"))
    for path in paths:
        (folder / f"{path.stem}.html").write_text(samples_page(path, seed), encoding="utf-8")
    return len(paths)


def samples_page(path: Path, seed: int) -> str:
    """Ten samples of a table: which ones, the seed says."""
    rows = pq.read_table(path).to_pylist()
    drawn = sorted(np.random.default_rng(seed).permutation(len(rows))[:SHOWN].tolist())
    shown = "".join(_sample(rows[number]) for number in drawn)
    lead = f"{len(drawn)} of {len(rows):,} samples, drawn by seed {seed}; all are in data/samples/{path.name}."
    body = f'<p><a href="../index.html">Back to the report</a></p>{shown or "<p>no samples</p>"}'
    return page(path.stem, "Answers of the evaluated checkpoint.", [Chapter("samples", path.stem, body, lead)])


def _sample(row: dict[str, Any]) -> str:
    title = html.escape(" · ".join(part for part in (row["task_id"], row["group"]) if part))
    asked = row["prompt"]
    if asked.startswith(SECRET):
        asked = f"{asked}\n(the text stays in its package)"
    parts = [("Asked", asked), ("Answered", row["output"])]
    if row["extracted"] and row["extracted"] != row["output"]:
        parts.append(("Read as", row["extracted"]))
    parts.append(("Expected", row["expected"] or ""))
    texts = "".join(f"<h4>{name}</h4><pre>{html.escape(_cut(text))}</pre>" for name, text in parts)
    ended = "cut at the limit" if row["finish_reason"] == "length" else row["finish_reason"]
    why = html.escape(" · ".join(part for part in (row["status"].replace("_", " "), row["reason"], ended) if part))
    about = f'<p class="soft">{why} · {row["output_tokens"]:,} tokens</p>'
    return f"<details open><summary>{_verdict(row['score'])} {title}</summary>{texts}{about}</details>"


def _verdict(score: float | None) -> Html:
    if score is None:
        return chip("not judged", "open")
    return chip("right", "yes") if score >= 1 else chip("wrong" if score <= 0 else f"{score:.2f}", "no")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"
