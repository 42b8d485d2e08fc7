"""The report's sections about RL, INT4 and the claims."""

import csv
import html
import json
from pathlib import Path
from typing import Any

from stages.report.charts import Series, line_chart
from stages.report.page import Section, table
from stages.report.sections import read_json


def _columns(path: Path) -> dict[str, list[tuple[float, float]]]:
    """(iteration, value) of every column of plots/rl.csv where it has one."""
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if value and key != "iteration":
                found.setdefault(key, []).append((float(row["iteration"]), float(value)))
    return found


def _chart(title: str, columns: dict[str, list[tuple[float, float]]], names: dict[str, str], unit: str) -> str:
    series = [
        Series(label, [x for x, _ in columns[key]], [y for _, y in columns[key]])
        for key, label in names.items()
        if key in columns
    ]
    return line_chart(title, series, "iteration", unit) if series else ""


def reinforcement(root: Path) -> Section:
    """Held success by family, sampled success, reward, length and the critic over iterations."""
    path = root / "plots" / "rl.csv"
    if not path.exists():
        return Section("rl", "Reinforcement learning", "<p>not run</p>")
    columns = _columns(path)
    held = {key: key.removeprefix("held_success_") for key in columns if key.startswith("held_success_")}
    sampled = {key: key.removeprefix("sampled_success_") for key in columns if key.startswith("sampled_success_")}
    charts = [
        _chart("Success on held problems (greedy)", columns, held, "share"),
        _chart("Success of sampled answers", columns, sampled, "share"),
        _chart("Mean reward", columns, {"reward": "reward"}, "reward"),
        _chart("Mean length of answers", columns, {"length": "tokens"}, "tokens"),
        _chart("Surprise of sampled tokens (falls as the policy commits)", columns, {"surprise": "nats"}, "nats"),
        _chart("The critic on held verifiable pairs", columns, {"held_critic_accuracy": "accuracy"}, "share"),
    ]
    return Section("rl", "Reinforcement learning", "".join(charts))


def int4(root: Path) -> Section:
    """bf16, rounding to nearest and QAT side by side."""
    found = read_json(root / "metrics" / "qat.json")
    if not found:
        return Section("int4", "INT4", "<p>not run</p>")
    rows = []
    for arm, label in (("start", "before"), ("bf16", "bf16"), ("ptq", "INT4, rounded"), ("qat", "INT4, trained (QAT)")):
        loss = f"{found[f'loss_{arm}']:.4f} ({found[f'loss_{arm}_ci_low']:.4f} – {found[f'loss_{arm}_ci_high']:.4f})"
        facts = f"{found[f'facts_{arm}']:.1%}"
        tasks = found.get(f"tasks_{arm}")
        rows.append([label, loss, facts, "" if tasks is None else f"{tasks:.1%}"])
    body = table(["weights", "held-out loss, 95 % interval", "facts", "RL tasks"], rows, [1, 2, 3])
    size = f"<p>The INT4 checkpoint has {found['bytes'] / 1e6:.1f} MB, {found['bytes_ratio']:.2f} of bf16.</p>"
    return Section("int4", "INT4", body + size)


def claims(root: Path) -> Section:
    """Every claim of K2 that was measured here: K2's figure, ours at this scale, interval, verdict."""
    files = sorted((root / "docs" / "experiments").glob("*.json"))
    rows: list[list[str]] = []
    for file in files:
        value: dict[str, Any] = json.loads(file.read_text())
        for claim in value.get("claims", []):
            rows.append([str(claim.get(key, "")) for key in ("claim", "k2", "ours", "interval", "verdict")])
    if not rows:
        return Section("claims", "Claims", "<p>no experiment has run</p>")
    note = "<p class='soft'>Measured at laptop scale; a claim that does not reproduce here is reported as such.</p>"
    names = html.escape(", ".join(file.stem for file in files))
    return Section(
        "claims",
        "Claims",
        f"{note}{table(['claim', 'K2', 'here', 'interval', 'verdict'], rows)}<p class='soft'>Sources: {names}</p>",
    )
