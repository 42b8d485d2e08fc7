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
    if found := read["tokens"]:
        cards.append(
            (f"{found['train_tokens'] / 1e6:.1f}M", "training tokens", f"{found['train_documents']:,} documents")
        )
    if found := read["rephrase"]:
        cards.append((f"{found['accepted']:.0%}", "of rephrasings faithful", f"{found['texts']:,} texts"))
    if found := read["tools"]:
        cards.append((f"{found['tools']:,}", "tools", f"{found['real']:,} real, {found['synthetic']:,} synthetic"))
    if found := read["trajectories"]:
        cards.append(
            (f"{found['kept']:,}", "kept trajectories", f"{found['kept_share']:.0%} of {found['trajectories']:,}")
        )
    if found := read["pretrain"]:
        cards.append((f"{found['parameters'] / 1e6:.1f}M", "parameters", f"{found['tokens'] / 1e6:.2f}M tokens seen"))
    if found := read["scores"]:
        bits = f"{found['validation_bits_per_byte']:.2f} bits per byte"
        cards.append((f"{found['validation_loss']:.2f}", "validation loss", bits))
    if gain := _largest_gain(root / "plots" / "rl.csv"):
        cards.append(gain)
    if found := read["qat"]:
        cards.append((f"{found['bytes_ratio']:.2f}×", "size as INT4", f"{found['qat_minus_bf16']:+.4f} nats to bf16"))
    items = "".join(
        f"<li><b>{html.escape(value)}</b><span>{html.escape(name)}</span><small>{html.escape(note)}</small></li>"
        for value, name, note in cards
    )
    body = f'<ul class="cards">{items}</ul>' if cards else "<p>nothing has run</p>"
    return Chapter("overview", "At a glance", body, "What this run made, in the order in which it was made.")


METRICS = ("tokens", "rephrase", "tools", "trajectories", "pretrain", "scores", "qat")


def _largest_gain(path: Path) -> tuple[str, str, str] | None:
    if not path.exists():
        return None
    prefix = "held_success_"
    held = {k.removeprefix(prefix): v for k, v in read_curves(path, "iteration").items() if k.startswith(prefix)}
    if not held:
        return None
    name, points = max(held.items(), key=lambda one: one[1][-1][1] - one[1][0][1])
    change = 100 * (points[-1][1] - points[0][1])
    return f"{change:+.0f} points", "largest gain of RL", f"{name.replace('_', ' ')}, held problems"
