"""Line charts as inline SVG: axes with units, a legend, values under the pointer. No script is needed to read them."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 44


@dataclass(frozen=True)
class Series:
    name: str
    x: Sequence[float]
    y: Sequence[float]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cover low..high."""
    if high <= low:
        high = low + max(1.0, abs(low))
    raw = (high - low) / count
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw)
    first = math.floor(low / step)
    last = math.ceil(high / step)
    return [round(i * step, 12) for i in range(first, last + 1)]


def label(value: float) -> str:
    """12,000 → 12k; short everywhere."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:.4g}"


def line_chart(title: str, series: Sequence[Series], x_label: str, y_label: str) -> str:
    """An SVG figure; a point is a circle with its values as a tooltip.

    Raises:
        ValueError: no series, or one without points.
    """
    if not series or not all(len(s.x) for s in series):
        raise ValueError(f"chart {title!r}: a series has no points")
    xs = [value for s in series for value in s.x]
    ys = [value for s in series for value in s.y]
    x_ticks, y_ticks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))

    def px(value: float) -> float:
        return LEFT + (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (WIDTH - LEFT - RIGHT)

    def py(value: float) -> float:
        return HEIGHT - BOTTOM - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">']
    for tick in y_ticks:
        y = py(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label(tick)}</text>')
    for tick in x_ticks:
        bottom = HEIGHT - BOTTOM + 18
        parts.append(f'<text class="tick" x="{px(tick):.1f}" y="{bottom}" text-anchor="middle">{label(tick)}</text>')
    for number, s in enumerate(series):
        points = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in zip(s.x, s.y, strict=True))
        parts.append(f'<polyline class="line s{number}" points="{points}"/>')
        for x, y in zip(s.x, s.y, strict=True):
            tip = f"{s.name}: {y:.6g} at {x_label} {label(x)}"
            circle = f'<circle class="dot s{number}" cx="{px(x):.1f}" cy="{py(y):.1f}" r="5">'
            parts.append(f"{circle}<title>{html.escape(tip)}</title></circle>")
        if len(series) > 1:
            at = LEFT + 8 + number * 150
            parts.append(f'<text class="key s{number}" x="{at}" y="{TOP - 10}">{html.escape(s.name)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
    turned = f'x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})"'
    parts.append(f'<text class="axis" {turned}>{html.escape(y_label)}</text></svg>')
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{''.join(parts)}</figure>"
