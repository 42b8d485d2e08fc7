"""The first section: the run in a dozen numbers."""

import html
from pathlib import Path

from stages.report.files import read_curves, read_json
from stages.report.graph import duration
from stages.report.page import Chapter


def overview(root: Path) -> Chapter:
    """A card a number; what has not run has no card."""
    cards: list[tuple[str, str, str]] = []
    read = {name: read_json(root / "metrics" / f"{name}.json") for name in METRICS}
    if timings := read_json(root / "work" / "timings.json"):
        cards.append((duration(sum(timings.values())), "of computing", f"{len(timings)} stages ran in this checkout"))
    if metrics := read["tokens"]:
        cards.append(
            (f"{metrics['train_tokens'] / 1e6:.1f}M", "training tokens", f"{metrics['train_documents']:,} documents")
        )
    if metrics := read["rephrase"]:
        cards.append((f"{metrics['accepted']:.0%}", "of rephrasings faithful", f"{metrics['texts']:,} texts"))
    if metrics := read["tools"]:
        cards.append(
            (f"{metrics['tools']:,}", "tools", f"{metrics['real']:,} real, {metrics['synthetic']:,} synthetic")
        )
    if metrics := read["repositories"]:
        proven = (
            f"{metrics['held_tasks']:,} held; {metrics['proven_share']:.0%} of {metrics['candidates']:,} bugs proven"
        )
        cards.append((f"{metrics['tasks']:,}", "repair tasks", proven))
    if metrics := read["trajectories"]:
        cards.append(
            (f"{metrics['kept']:,}", "kept trajectories", f"{metrics['kept_share']:.0%} of {metrics['trajectories']:,}")
        )
    if metrics := read["pretrain"]:
        cards.append(
            (f"{metrics['parameters'] / 1e6:.1f}M", "parameters", f"{metrics['tokens'] / 1e6:.2f}M tokens seen")
        )
    if metrics := read["scores"]:
        bits = f"{metrics['validation_bits_per_byte']:.2f} bits per byte"
        cards.append((f"{metrics['validation_loss']:.2f}", "validation loss", bits))
        if "regressions" in metrics:
            cards.append((f"{metrics['regressions']:.0f}", "regressions", "of a stage against the one before"))
    if gain := _largest_gain(root / "plots" / "rl.csv"):
        cards.append(gain)
    if metrics := read["qat"]:
        cards.append(
            (f"{metrics['bytes_ratio']:.2f}×", "size as INT4", f"{metrics['qat_minus_bf16']:+.4f} nats to bf16")
        )
    items = "".join(
        f"<li><b>{html.escape(value)}</b><span>{html.escape(name)}</span><small>{html.escape(note)}</small></li>"
        for value, name, note in cards
    )
    body = f'<ul class="cards">{items}</ul>' if cards else "<p>nothing has run</p>"
    return Chapter("overview", "At a glance", body, "What this run made, in the order in which it was made.")


METRICS = ("tokens", "rephrase", "tools", "repositories", "trajectories", "pretrain", "scores", "qat")


def _largest_gain(path: Path) -> tuple[str, str, str] | None:
    if not path.exists():
        return None
    prefix = "held_success_"
    held = {k.removeprefix(prefix): v for k, v in read_curves(path, "iteration").items() if k.startswith(prefix)}
    if not held:
        return None
    name, points = max(held.items(), key=lambda curve: curve[1][-1][1] - curve[1][0][1])
    change = 100 * (points[-1][1] - points[0][1])
    return f"{change:+.0f} points", "largest gain of RL", f"{name.replace('_', ' ')}, held problems"
