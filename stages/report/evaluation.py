"""The report's section about benchmarks: ours with intervals, beside the published figures of K2."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.measure.published import PUBLISHED
from stages.report.charts import Interval, interval_chart
from stages.report.files import read_json
from stages.report.page import Chapter, table

OTHER = ("_majority_of_n", "arena_n")  # ends of metrics that are no number of questions


def datasets(folder: Path) -> dict[str, str]:
    """Benchmark → the data set that was asked, as its samples name it."""
    by_benchmark: dict[str, str] = {}
    for path in sorted(folder.glob("*.parquet")):
        columns = pq.read_table(path, columns=["benchmark", "dataset"]).to_pydict()
        by_benchmark |= dict(zip(columns["benchmark"], columns["dataset"], strict=True))
    return by_benchmark


def scores(root: Path) -> Chapter:
    """Every score with its interval, number of questions and truncated answers, beside K2-Instruct and K2 Thinking."""
    metrics = read_json(root / "metrics" / "scores.json")
    if not metrics:
        return Chapter("scores", "Scores", "<p>not run</p>")
    named = datasets(root / "data" / "samples")
    rows, drawn = [], []
    for name in sorted(key.removesuffix("_n") for key in metrics if key.endswith("_n") and not key.endswith(OTHER)):
        cells = [name, named.get(name, ""), "", "", f"{metrics[f'{name}_n']:,.0f}", ""]
        if name in metrics:
            value, low, high = metrics[name], metrics[f"{name}_ci_low"], metrics[f"{name}_ci_high"]
            cells[2:4] = [f"{value:.1%}", f"{low:.1%} – {high:.1%}"]
            refs = [(reference.name, reference.scores[name]) for reference in PUBLISHED if name in reference.scores]
            drawn.append(Interval(name, 100 * low, 100 * value, 100 * high, [(who, 100 * ref) for who, ref in refs]))
        else:
            cells[2:4] = ["not run", ""]
        if f"{name}_truncated" in metrics:
            cells[5] = f"{metrics[f'{name}_truncated']:,.0f}"
        rows.append(
            [*cells, *(f"{reference.scores[name]:.1%}" if name in reference.scores else "" for reference in PUBLISHED)]
        )
    head = ["benchmark", "data set", "score", "95 % interval", "n", "cut off", "K2-Instruct", "K2 Thinking"]
    loss = f"{metrics['validation_loss']:.4f} nats per token, {metrics['validation_bits_per_byte']:.4f} bits per byte"
    counted = f"{metrics['validation_tokens']:,.0f} held-out tokens"
    chart = interval_chart("Scores with 95 % intervals; published: orange K2-Instruct, green K2 Thinking", drawn, "%")
    note = (
        "<p class='soft'>K2's columns are its published figures on the official data sets and settings. A built-in "
        "data set has a name of its own, and nothing published beside it.</p>"
    )
    body = f"<p>Validation loss: <b>{loss}</b> on {counted}.</p>{chart}{table(head, rows, [2, 3, 4, 5, 6, 7])}{note}"
    lead = "The official rules on this checkpoint. A model of this size is near zero on hard benchmarks."
    return Chapter("scores", "Scores", body, lead)
