"""The report's sections about pre-training and supervised tuning."""

import math
from collections.abc import Mapping
from pathlib import Path

from stages.report.charts import Series, line_chart
from stages.report.files import number, read_curves, read_json
from stages.report.page import Chapter, table

MAX_POINTS = 400
CURVES = {
    "loss": ("Training loss", "nats per token"),
    "max_logit": ("Largest attention logit (QK-Clip acts above τ)", "logit"),
    "lr": ("Learning rate", "per step"),
    "load_cv": ("Spread of expert load (0 is even)", "std / mean"),
}


def pretraining(root: Path) -> Chapter:
    """Loss, largest attention logit, learning rate and expert load over tokens."""
    path = root / "plots" / "pretrain.csv"
    if not path.exists():
        return Chapter("pretraining", "Pre-training", "<p>not run</p>")
    columns = read_curves(path, "tokens")
    charts = []
    for key, (title, unit) in CURVES.items():
        if key not in columns:
            continue
        points = columns[key][:: math.ceil(len(columns[key]) / MAX_POINTS)]
        charts.append(line_chart(title, [Series(key, *map(list, zip(*points)))], "tokens", unit))
    metrics = read_json(root / "metrics" / "pretrain.json")
    facts = table(["measure", "value"], [[key.replace("_", " "), number(v)] for key, v in metrics.items()], numeric=[1])
    lead = "MuonClip in a DeepSpeed engine: warm-up, constant rate, decay; annealing; longer sequences with YaRN."
    return Chapter("pretraining", "Pre-training", f'<div class="grid2">{"".join(charts)}</div>{facts}', lead)


def tuning(root: Path) -> Chapter:
    """What SFT learned from and how well it calls."""
    metrics = read_json(root / "metrics" / "sft.json")
    if not metrics:
        return Chapter("sft", "Supervised tuning", "<p>not run</p>")
    ends = [metrics.pop(f"call_accuracy_ci_{end}", None) for end in ("low", "high")]
    counts = {key: value for key, value in metrics.items() if not key.startswith(("success_", "call_accuracy"))}
    rows = [
        [f"held problems solved: {key.removeprefix('success_')}", f"{metrics[key]:.0%}"] for key in _success(metrics)
    ]
    if metrics.get("call_accuracy_n"):
        low, high = ends
        interval = f"{metrics['call_accuracy']:.1%} ({low:.1%} – {high:.1%})"
        rows.insert(0, [f"held calls exact, of {metrics['call_accuracy_n']:,}", interval])
    rows += [[key.replace("_", " "), number(value)] for key, value in counts.items()]
    lead = "Kept trajectories and demonstrations; loss on what the assistant wrote; held calls must match exactly."
    body = f'<div class="grid2">{_tuning_curves(root)}</div>{table(["measure", "value"], rows, [1])}'
    return Chapter("sft", "Supervised tuning", body, lead)


def _tuning_curves(root: Path) -> str:
    """Loss of the rows, loss on held-out text and conversations, held calls and tasks over the steps."""
    path = root / "plots" / "sft.csv"
    columns = read_curves(path, "step") if path.exists() else {}
    shares = {"call_accuracy": "held calls exact"} | {key: key.removeprefix("success_") for key in _success(columns)}
    groups = {
        "Training loss": ({"loss": "loss"}, "nats per token"),
        "Loss on what is held out": ({"text_loss": "text", "held_loss": "conversations"}, "nats per token"),
        "Held calls and problems": (shares, "share"),
    }
    drawn = []
    for title, (names, unit) in groups.items():
        there = {key: label for key, label in names.items() if key in columns}
        series = [Series(label, *map(list, zip(*columns[key]))) for key, label in there.items()]
        drawn.append(line_chart(title, series, "step", unit) if series else "")
    return "".join(drawn)


def _success(metrics: Mapping[str, object]) -> list[str]:
    return sorted(key for key in metrics if key.startswith("success_"))
