"""The report's sections about RL and INT4."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stages.report.charts import Interval, Series, interval_chart, line_chart
from stages.report.files import number, read_curves, read_json
from stages.report.page import Chapter, table

SHOWN, ASKED, ANSWER = 10, 300, 600  # answers; characters
ARMS = {"start": "before", "bf16": "bf16", "ptq": "INT4, rounded", "qat": "INT4, trained (QAT)"}


def _chart(title: str, columns: dict[str, list[tuple[float, float]]], names: dict[str, str], unit: str) -> str:
    series = [
        Series(label, [x for x, _ in columns[key]], [y for _, y in columns[key]])
        for key, label in names.items()
        if key in columns
    ]
    return line_chart(title, series, "iteration", unit) if series else ""


def _families(columns: dict[str, list[tuple[float, float]]], prefix: str) -> dict[str, str]:
    return {key: key.removeprefix(prefix).replace("_", " ") for key in columns if key.startswith(prefix)}


def reinforcement(root: Path) -> Chapter:
    """Held success by family, sampled success, reward, length and the critic over iterations."""
    path = root / "plots" / "rl.csv"
    if not path.exists():
        return Chapter("rl", "Reinforcement learning", "<p>not run</p>")
    columns = read_curves(path, "iteration")
    held, sampled = _families(columns, "held_success_"), _families(columns, "sampled_success_")
    charts = [
        _chart("Success on held problems (greedy)", columns, held, "share"),
        _chart("Success of sampled answers", columns, sampled, "share"),
        _chart("Mean reward", columns, {"reward": "reward"}, "reward"),
        _chart("Mean length of answers", columns, {"length": "tokens"}, "tokens"),
        _chart("Surprise of sampled tokens (falls as the policy commits)", columns, {"surprise": "nats"}, "nats"),
        _chart("The critic on held pairs", columns, _families(columns, "held_critic_"), "share"),
    ]
    rows = [
        [label, f"{points[0][1]:.0%}", f"{points[-1][1]:.0%}", f"{100 * (points[-1][1] - points[0][1]):+.0f} points"]
        for key, label in held.items()
        for points in [columns[key]]
    ]
    gains = table(["held problems of", "before", "after", "change"], rows, [1, 2, 3])
    metrics = read_json(root / "metrics" / "rl.json")
    facts = table(["measure", "value"], [[key.replace("_", " "), number(v)] for key, v in metrics.items()], [1])
    lead = (
        "K answers a prompt, verified rewards and self-critique in one loop; all rollouts are in data/rollouts.parquet."
    )
    detail = f"<details><summary>All measures</summary>{facts}</details>" if metrics else ""
    body = f'{gains}<div class="grid2">{"".join(charts)}</div>{_sampled(root)}{detail}'
    return Chapter("rl", "Reinforcement learning", body, lead)


def _sampled(root: Path) -> str:
    """Ten sampled answers of the first iteration and of the last, drawn by a hash of their names."""
    path = root / "data" / "rollouts.parquet"
    if not path.exists():
        return ""
    columns = ["iteration", "key", "taskset", "question", "text", "score"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    numbers = sorted({row["iteration"] for row in rows})
    ends = {"first": numbers[:1], "last": numbers[1:][-1:]}
    shown = {word: [row for row in rows if row["iteration"] in own] for word, own in ends.items() if own}
    return "".join(
        f"<details><summary>Ten sampled answers of the {word} iteration</summary>{_answers(own)}</details>"
        for word, own in shown.items()
    )


def _answers(rows: list[dict[str, Any]]) -> str:
    order = sorted(rows, key=lambda row: hashlib.sha256(row["key"].encode()).digest())
    cells = [
        [
            row["taskset"],
            _said(json.loads(row["question"])),
            row["text"][:ANSWER],
            "" if row["score"] is None else number(row["score"]),
        ]
        for row in order[:SHOWN]
    ]
    return table(["family", "asked", "answered", "score"], cells, [3])


def _said(messages: list[dict[str, Any]]) -> str:
    """What the user asked at last."""
    return str(messages[-1]["content"])[-ASKED:]


def int4(root: Path) -> Chapter:
    """bf16, rounding to nearest and QAT side by side."""
    metrics = read_json(root / "metrics" / "qat.json")
    if not metrics:
        return Chapter("int4", "INT4", "<p>not run</p>")
    rows, drawn = [], []
    for arm, label in ARMS.items():
        loss, low, high = (metrics[f"loss_{arm}{end}"] for end in ("", "_ci_low", "_ci_high"))
        drawn.append(Interval(label, low, loss, high))
        cells = [label, f"{loss:.4f} ({low:.4f} – {high:.4f})"]
        for what in ("facts", "tasks"):
            value = metrics.get(f"{what}_{arm}")
            ends = [metrics.get(f"{what}_{arm}_ci_{end}") for end in ("low", "high")]
            cells.append("" if value is None else f"{value:.1%}" + _span(ends))
        rows.append(cells)
    differences = [
        [
            f"{ARMS[arm]} against bf16",
            f"{metrics[f'{arm}_minus_bf16']:+.4f} ({metrics[f'{arm}_minus_bf16_ci_low']:+.4f} – "
            f"{metrics[f'{arm}_minus_bf16_ci_high']:+.4f})",
        ]
        for arm in ("ptq", "qat")
    ]
    chart = interval_chart("Loss on held-out documents, 95 % interval", drawn, "nats per token")
    body = (
        f"{table(['weights', 'held-out loss', 'facts', 'RL tasks'], rows, [1, 2, 3])}{chart}"
        f"{table(['difference on the same documents', 'nats per token'], differences, [1])}"
        f"<p>The INT4 checkpoint has {metrics['bytes'] / 1e6:.1f} MB, {metrics['bytes_ratio']:.2f} of bf16.</p>"
    )
    lead = "Symmetric INT4, groups of 32, routed experts only; what is exported is bit for bit what training used."
    return Chapter("int4", "INT4", body, lead)


def _span(ends: list[float | None]) -> str:
    low, high = ends
    return "" if low is None or high is None else f" ({low:.1%} – {high:.1%})"
