"""The report's section about what tuning costs: loss on the same held-out text before and after each stage."""

from pathlib import Path

from stages.report.files import read_json
from stages.report.page import Chapter, table

STAGES = {
    "base": "base",
    "pretrain": "pre-training",
    "sft": "supervised tuning",
    "rl": "reinforcement learning",
    "qat": "INT4 QAT",
    "scores": "all tuning, from pre-training to INT4",
}


def language(root: Path) -> Chapter:
    """A row a stage: before, after, the change with its interval, nats per byte."""
    rows = []
    for name, label in STAGES.items():
        metrics = read_json(root / "metrics" / f"{name}.json")
        if "text_loss" not in metrics:
            continue
        cells = [label, "", f"{metrics['text_loss']:.4f}", "", f"{metrics['text_loss_per_byte']:.4f}"]
        if "text_loss_start" in metrics:
            change, low, high = (metrics[f"text_loss_change{end}"] for end in ("", "_ci_low", "_ci_high"))
            cells[1] = f"{metrics['text_loss_start']:.4f}"
            cells[3] = f"{change:+.4f} ({low:+.4f} – {high:+.4f})"
        rows.append(cells)
    if not rows:
        return Chapter("language", "Language", "<p>not run</p>")
    head = ["stage", "before, nats per token", "after", "change, 95 % interval", "nats per byte after"]
    lead = "Loss on held-out documents, the same ones in every row: what a stage gains must not cost the language."
    return Chapter("language", "Language", table(head, rows, [1, 2, 3, 4]), lead)
