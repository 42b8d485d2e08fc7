"""The report's section about benchmarks: ours with intervals, beside the published figures of K2."""

from pathlib import Path

import pyarrow.parquet as pq

from stages.measure.published import PUBLISHED
from stages.report.charts import Interval, interval_chart
from stages.report.files import read_json
from stages.report.page import Chapter, table


def datasets(folder: Path) -> dict[str, str]:
    """Benchmark → the data set that was asked, as its samples name it."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.parquet")):
        columns = pq.read_table(path, columns=["benchmark", "dataset"]).to_pydict()
        found |= dict(zip(columns["benchmark"], columns["dataset"], strict=True))
    return found


def scores(root: Path) -> Chapter:
    """Every score with its interval, number of questions and truncated answers, beside K2-Instruct and K2 Thinking."""
    found = read_json(root / "metrics" / "scores.json")
    if not found:
        return Chapter("scores", "Scores", "<p>not run</p>")
    named = datasets(root / "data" / "samples")
    rows, drawn = [], []
    for name in sorted(key.removesuffix("_n") for key in found if key.endswith("_n")):
        cells = [name, named.get(name, ""), "", "", f"{found[f'{name}_n']:,.0f}", ""]
        if name in found:
            value, low, high = found[name], found[f"{name}_ci_low"], found[f"{name}_ci_high"]
            cells[2:4] = [f"{value:.1%}", f"{low:.1%} – {high:.1%}"]
            refs = [(one.name, one.scores[name]) for one in PUBLISHED if name in one.scores]
            drawn.append(Interval(name, 100 * low, 100 * value, 100 * high, [(who, 100 * ref) for who, ref in refs]))
        else:
            cells[2:4] = ["not run", ""]
        if f"{name}_truncated" in found:
            cells[5] = f"{found[f'{name}_truncated']:,.0f}"
        rows.append([*cells, *(f"{one.scores[name]:.1%}" if name in one.scores else "" for one in PUBLISHED)])
    head = ["benchmark", "data set", "score", "95 % interval", "n", "cut off", "K2-Instruct", "K2 Thinking"]
    loss = f"{found['validation_loss']:.4f} nats per token, {found['validation_bits_per_byte']:.4f} bits per byte"
    counted = f"{found['validation_tokens']:,.0f} held-out tokens"
    chart = interval_chart("Scores with 95 % intervals; published: orange K2-Instruct, green K2 Thinking", drawn, "%")
    note = (
        "<p class='soft'>K2's columns are its published figures on the official data sets and settings. A score here "
        "on a built-in data set is not comparable with them, and says so in the second column.</p>"
    )
    body = f"<p>Validation loss: <b>{loss}</b> on {counted}.</p>{chart}{table(head, rows, [2, 3, 4, 5, 6, 7])}{note}"
    lead = "The official rules on this checkpoint. A model of this size is near zero on hard benchmarks."
    return Chapter("scores", "Scores", body, lead)
