"""Line charts as inline SVG: axes with units, a legend, values under the pointer. No script is needed to read them."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 44
COLOURS = 6  # of the style sheet; a seventh series begins again


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

    A point that isn't finite (a loss that ran away) has no place on the axes: the title counts those.

    Raises:
        ValueError: no series, or one without points.
    """
    if not series or not all(len(s.x) for s in series):
        raise ValueError(f"chart {title!r}: a series has no points")
    drawn = [_finite(s) for s in series]
    if left_out := sum(len(s.x) for s in series) - sum(len(s.x) for s in drawn):
        title = f"{title} ({left_out:,} points are not finite)"
    series = [s for s in drawn if s.x]
    if not series:
        return f"<figure><figcaption>{html.escape(title)}</figcaption></figure>"
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
        parts.append(f'<polyline class="line s{number % COLOURS}" points="{points}"/>')
        for x, y in zip(s.x, s.y, strict=True):
            tip = f"{s.name}: {y:.6g} at {x_label} {label(x)}"
            circle = f'<circle class="dot s{number % COLOURS}" cx="{px(x):.1f}" cy="{py(y):.1f}" r="5">'
            parts.append(f"{circle}<title>{html.escape(tip)}</title></circle>")
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_label)}</text>')
    turned = f'x="14" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2})"'
    parts.append(f'<text class="axis" {turned}>{html.escape(y_label)}</text></svg>')
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{_legend(series)}{''.join(parts)}</figure>"


def _finite(series: Series) -> Series:
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return Series(series.name, [x for x, _ in points], [y for _, y in points])


def _legend(series: Sequence[Series]) -> str:
    if len(series) == 1:
        return ""
    keys = "".join(f'<li class="s{number % COLOURS}">{html.escape(s.name)}</li>' for number, s in enumerate(series))
    return f'<ul class="legend">{keys}</ul>'


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; `refs` are (name, value) marks to compare with."""

    name: str
    low: float
    value: float
    high: float
    refs: Sequence[tuple[str, float]] = ()


def interval_chart(title: str, rows: Sequence[Interval], unit: str) -> str:
    """Points with intervals, one a row, on one axis.

    Raises:
        ValueError: no rows, or an interval that doesn't hold its value.
    """
    if not rows:
        raise ValueError(f"chart {title!r}: no rows")
    rows = [row for row in rows if all(map(math.isfinite, (row.low, row.value, row.high)))]
    if not rows:
        return f"<figure><figcaption>{html.escape(title)}: nothing is finite</figcaption></figure>"
    for row in rows:
        if not row.low <= row.value <= row.high:
            raise ValueError(f"chart {title!r}: {row.name}: {row.value} is outside {row.low} to {row.high}")
    values = [value for row in rows for value in (row.low, row.high, *(ref for _, ref in row.refs))]
    marks = ticks(min(values), max(values))
    height = 24 * len(rows) + 40
    left = 170

    def px(value: float) -> float:
        return left + (value - marks[0]) / (marks[-1] - marks[0]) * (WIDTH - left - RIGHT)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">']
    for mark in marks:
        x = px(mark)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 36}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 22}" text-anchor="middle">{label(mark)}</text>')
    for number, row in enumerate(rows):
        y = 18 + 24 * number
        tip = html.escape(f"{row.name}: {row.value:.5g} ({row.low:.5g} to {row.high:.5g})")
        parts.append(f'<text class="tick" x="{left - 10}" y="{y + 4}" text-anchor="end">{html.escape(row.name)}</text>')
        ends = f'x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{y}" y2="{y}"'
        parts.append(f'<line class="span" {ends}><title>{tip}</title></line>')
        parts.append(f'<circle class="point" cx="{px(row.value):.1f}" cy="{y}" r="5"><title>{tip}</title></circle>')
        for at, (name, value) in enumerate(row.refs):
            note = html.escape(f"{name}: {value:.5g}")
            shape = f'x="{px(value) - 1.5:.1f}" y="{y - 8}" width="3" height="16"'
            parts.append(f'<rect class="ref r{at}" {shape}><title>{note}</title></rect>')
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="axis" x="{middle}" y="{height - 4}" text-anchor="middle">{html.escape(unit)}</text></svg>'
    )
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{''.join(parts)}</figure>"


@dataclass(frozen=True)
class Against:
    """An interval with the threshold beyond which it should lie; `direction` is above or below."""

    name: str
    low: float
    value: float
    high: float
    threshold: float
    direction: str
    unit: str

    def place(self, value: float) -> float:
        """−1 to 1: what is beyond the threshold is positive; the farther end of the interval is at ±1."""
        reach = max(abs(self.low - self.threshold), abs(self.high - self.threshold)) or 1.0
        return (value - self.threshold) / reach * (1 if self.direction == "above" else -1)


def threshold_chart(title: str, rows: Sequence[Against]) -> str:
    """Intervals beside one line, the threshold of each, every row on a scale of its own: right of it is as claimed.

    Raises:
        ValueError: no rows, or an interval that doesn't hold its value.
    """
    if not rows:
        raise ValueError(f"chart {title!r}: no rows")
    for row in rows:
        if not row.low <= row.value <= row.high:
            raise ValueError(f"chart {title!r}: {row.name}: {row.value} is outside {row.low} to {row.high}")
    left, right = 170, 430
    middle, height = (left + right) / 2, 24 * len(rows) + 40
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">']
    for number, row in enumerate(rows):
        y = 18 + 24 * number

        def px(value: float, row: Against = row) -> float:
            return middle + row.place(value) * (right - left) / 2

        told = f"{row.low:.3g} to {row.high:.3g}, wanted {row.direction} {row.threshold:g}"
        tip = html.escape(f"{row.name}: {row.value:.4g} ({told} {row.unit})")
        parts.append(f'<text class="tick" x="{left - 10}" y="{y + 4}" text-anchor="end">{html.escape(row.name)}</text>')
        ends = f'x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{y}" y2="{y}"'
        parts.append(f'<line class="span" {ends}><title>{tip}</title></line>')
        parts.append(f'<circle class="point" cx="{px(row.value):.1f}" cy="{y}" r="5"><title>{tip}</title></circle>')
        parts.append(f'<text class="tick" x="{right + 12}" y="{y + 4}">{html.escape(told)}</text>')
    parts.append(f'<rect class="ref r0" x="{middle - 1}" y="4" width="2" height="{height - 36}"/>')
    note = "← against the claim · threshold · as claimed →"
    parts.append(f'<text class="axis" x="{middle}" y="{height - 10}" text-anchor="middle">{note}</text></svg>')
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{''.join(parts)}</figure>"
