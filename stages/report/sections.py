"""The sections of the report, each from the files that a stage left. A section says plainly what has not run."""

import csv
import html
import json
import math
from pathlib import Path
from typing import Any

import yaml

from stages.report.charts import Series, line_chart
from stages.report.page import Section, table

MAX_POINTS = 400


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or an empty one when the stage has not run."""
    value: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return value


def pipeline(root: Path) -> Section:
    """The graph as DVC declares it, with the seconds that each stage last took in this checkout."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    timings = read_json(root / "work" / "timings.json")
    made = {str(out): name for name, stage in stages.items() for out in _outs(stage)}
    items = []
    for name, stage in stages.items():
        needs = sorted({made[dep] for dep in stage["deps"] if dep in made})
        took = f"{timings[name]:,.1f} s" if name in timings else "from the cache"
        after = f" · after {', '.join(needs)}" if needs else ""
        desc = html.escape(stage.get("desc", ""))
        items.append(f'<li title="{desc}"><b>{html.escape(name)}</b><span>{took}{html.escape(after)}</span></li>')
    return Section("pipeline", "Pipeline", f'<ol class="graph">{"".join(items)}</ol>')


def _outs(stage: dict[str, Any]) -> list[str]:
    listed = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def pretraining(root: Path) -> Section:
    """Loss, largest attention logit and learning rate over tokens."""
    path = root / "plots" / "pretrain.csv"
    if not path.exists():
        return Section("pretraining", "Pre-training", "<p>not run</p>")
    with path.open(newline="") as handle:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]
    rows = rows[:: math.ceil(len(rows) / MAX_POINTS)]
    tokens = [row["tokens"] for row in rows]

    def curve(title: str, key: str, unit: str) -> str:
        return line_chart(title, [Series(key, tokens, [row[key] for row in rows])], "tokens", unit)

    charts = [
        curve("Training loss", "loss", "nats per token"),
        curve("Largest attention logit (QK-Clip acts above τ)", "max_logit", "logit"),
        curve("Learning rate", "lr", "per step"),
        curve("Spread of expert load (0 is even)", "load_cv", "std / mean"),
    ]
    metrics = read_json(root / "metrics" / "pretrain.json")
    facts = table(["measure", "value"], [[key, _number(value)] for key, value in metrics.items()], numeric=[1])
    return Section("pretraining", "Pre-training", "".join(charts) + facts)


def scores(root: Path) -> Section:
    """Every score with its interval and number of samples."""
    found = read_json(root / "metrics" / "scores.json")
    if not found:
        return Section("scores", "Scores", "<p>not run</p>")
    rows = []
    for name in sorted(key for key in found if f"{key}_n" in found):
        interval = f"{found[f'{name}_ci_low']:.1%} – {found[f'{name}_ci_high']:.1%}"
        rows.append([name, f"{found[name]:.1%}", interval, f"{found[f'{name}_n']:,.0f}"])
    body = table(["benchmark", "score", "95 % interval", "n"], rows, numeric=[1, 2, 3])
    loss = f"{found['validation_loss']:.4f} nats per token, {found['validation_bits_per_byte']:.4f} bits per byte"
    counted = f"{found['validation_tokens']:,.0f} held-out tokens"
    return Section("scores", "Scores", f"<p>Validation loss: <b>{loss}</b> on {counted}.</p>{body}")


def corpus(root: Path) -> Section:
    """What the data card says, in numbers."""
    found = read_json(root / "metrics" / "corpus.json") | read_json(root / "metrics" / "tokenizer.json")
    found |= read_json(root / "metrics" / "tokens.json")
    return Section("corpus", "Corpus", table(["measure", "value"], [[k, _number(v)] for k, v in found.items()], [1]))


def identity(tags: dict[str, str]) -> Section:
    """What this page was made from."""
    return Section("identity", "Run identity", table(["what", "value"], [[key, value] for key, value in tags.items()]))


def _number(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)
