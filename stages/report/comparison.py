"""The report's section that compares models: published ones, an open one, the base and each stage on the same items."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.report.evaluation import published
from stages.report.files import read_json
from stages.report.page import Chapter, chip, table

LABELS = {  # as a person calls a model
    "embedded": "SmolLM2-135M-Instruct, dense, measured here",
    "base": "base",
    "pretrain": "after pre-training",
    "sft": "after supervised tuning",
    "rl": "after reinforcement learning",
    "qat": "after INT4 QAT",
}
LAST = "qat"  # whose other scores are in metrics/scores.json under the benchmarks' own names
LEAD = (
    "Published figures have the official data and settings; the models measured here answered the same items, which "
    "are fewer and cut shorter. A change is the mean over items of what a model scores above the one before it."
)


def comparison(root: Path) -> Chapter:
    """A row for each model; then each stage's change against the one before, with its interval."""
    metrics = read_json(root / "metrics" / "scores.json")
    shown = read_json(root / "data" / "samples" / "comparison.json")
    models = shown.get("models", [])
    if not models or not metrics:
        return Chapter("comparison", "Comparison", "<p>not run</p>")
    references = published(root)
    columns = _columns(metrics, shown["benchmarks"], references)
    rows = [[one["name"], *(_percent(one["scores"].get(name)) for name in columns)] for one in references]
    for model in models:
        own = [_measured(metrics, model, name) for name in columns]
        rows.append([LABELS.get(model, model), *own])
    sources = "".join(f"<li>{html.escape(one['name'])}: {html.escape(one['source'])}</li>" for one in references)
    body = table(["model", *columns], rows, range(1, len(columns) + 1))
    body += f"<details><summary>Sources of the published figures</summary><ul>{sources}</ul></details>"
    return Chapter("comparison", "Comparison", body + _changes(metrics, models, shown["benchmarks"]), LEAD)


def _columns(metrics: Mapping[str, float], compared: list[str], references: list[dict[str, Any]]) -> list[str]:
    """What the models were compared on, then what else is published of one of the others and was measured here."""
    figures = {name for one in references for name in one["scores"]}
    return compared + sorted(name for name in figures if name in metrics and name not in compared)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _measured(metrics: Mapping[str, float], model: str, name: str) -> str:
    key = f"compared_{model}_{name}"
    if key not in metrics:
        return _percent(metrics.get(name)) if model == LAST else ""
    if f"{key}_ci_low" not in metrics:
        return _percent(metrics[key])
    return f"{metrics[key]:.1%} ({metrics[f'{key}_ci_low']:.1%} – {metrics[f'{key}_ci_high']:.1%})"


def _changes(metrics: Mapping[str, float], models: list[str], compared: list[str]) -> str:
    rows = []
    for before, after in zip(models, models[1:], strict=False):
        for name in compared:
            key = f"change_{after}_{name}"
            if key not in metrics:
                continue
            low, high = metrics[f"{key}_ci_low"], metrics[f"{key}_ci_high"]
            verdict = chip("worse", "no") if high < 0 else chip("better", "yes") if low > 0 else chip("open", "open")
            span = f"{100 * low:+.1f} – {100 * high:+.1f}"
            items = f"{metrics[f'{key}_items']:,.0f}"
            step = f"{LABELS.get(after, after)} less {LABELS.get(before, before)}"
            rows.append([step, name, f"{100 * metrics[key]:+.1f}", span, items, verdict])
    if not rows:
        return ""
    count = metrics["regressions"]
    told = f"Regressions of a stage against the one before: {count:,.0f}."
    head = ["change", "benchmark", "points", "95 % interval", "items", "verdict"]
    note = "<p class='soft'>Paired by item. The gate's rules may name regressions, or one change's upper end.</p>"
    return f"<h3>What each stage changes</h3><p><b>{told}</b></p>{table(head, rows, [2, 3, 4])}{note}"
