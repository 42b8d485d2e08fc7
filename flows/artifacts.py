"""What a stage leaves in the Prefect UI: its progress while it runs; then its last line, metrics, curve and samples."""

import base64
import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.hooks import mlflow_link

PROGRESS = re.compile(r"^\S.*?: ([\d,]+)/([\d,]+) ")  # a line of stages/harness/progress.py
ROWS, CELL = 3, 200  # of a table of samples, and characters of a cell


def _key(kind: str, name: str) -> str:
    return f"{kind}-{name.lower().replace('@', '-').replace('_', '-')}"


class StageProgress:
    """A bar that follows the lines of a stage; a stage that counts nothing goes from 0 to 100 %."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.id: UUID = create_progress_artifact(0.0, key=_key("progress", name), description=f"{name}: started")

    def heard(self, line: str) -> None:
        found = PROGRESS.match(line)
        if found:
            done, total = (int(text.replace(",", "")) for text in found.groups())
            update_progress_artifact(self.id, 100.0 * min(done / max(total, 1), 1.0), description=line[:CELL])

    def end(self, last_line: str) -> None:
        update_progress_artifact(self.id, 100.0, description=last_line[:CELL])


def leave_note(name: str, last_line: str, seconds: float) -> None:
    """The stage's last line and its metrics."""
    path = Path("metrics") / ("scores.json" if name == "evaluate" else f"{name}.json")
    rows = ["| metric | value |", "|---|---|"]
    if path.exists():
        metrics: dict[str, Any] = json.loads(path.read_text())
        flat = {key: value for key, value in sorted(metrics.items()) if not isinstance(value, (dict, list))}
        rows += [f"| {key} | {value} |" for key, value in flat.items()]
    link = mlflow_link(name)
    run = f"[MLflow run]({link})\n\n" if link else ""
    text = f"## {name}\n\n{last_line}\n\n{seconds:,.1f} s\n\n{run}" + "\n".join(rows)
    create_markdown_artifact(key=_key("stage", name), markdown=text)


def leave_curve(name: str, outs: Sequence[str]) -> None:
    """A picture of the stage's table under `plots/`: its first column against what a person looks at first."""
    for path in (Path(out) for out in outs if out.startswith("plots/")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        x, *columns = rows[0]
        wanted = next((column for column in ("reward", "loss") if column in columns), columns[0])
        points = [(float(row[x]), float(row[wanted])) for row in rows if row[wanted]]
        create_image_artifact(_picture(points, x, wanted), key=_key("plot", name), description=f"{name}: {wanted}")


def _picture(points: Sequence[tuple[float, float]], x: str, y: str) -> str:
    """A line as a PNG in a data URL, which needs no server of its own."""
    from matplotlib.figure import Figure  # a second to import

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*points, strict=True))
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=80)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def leave_samples(name: str, outs: Sequence[str]) -> None:
    """A few rows of the stage's largest table, from its beginning, middle and end."""
    files = [file for out in outs for file in _tables(Path(out))]
    if not files:
        return
    largest = max(files, key=lambda file: file.stat().st_size)
    table = pq.ParquetFile(largest)
    groups = table.num_row_groups
    chosen = sorted({0, groups // 2, groups - 1}) if groups else []
    rows = [row for group in chosen for row in _spread(table.read_row_group(group).to_pylist(), ROWS, len(chosen))]
    shown = [{key: str(value)[:CELL] for key, value in row.items()} for row in rows[:ROWS]]
    if shown:
        description = f"{largest.as_posix()}: {len(shown)} of {table.metadata.num_rows:,} rows"
        create_table_artifact(shown, key=_key("samples", name), description=description)


def _tables(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.parquet"))
    return [path] if path.suffix == ".parquet" and path.exists() else []


def _spread(rows: Sequence[dict[str, Any]], wanted: int, groups: int) -> list[dict[str, Any]]:
    """`wanted` rows over all groups: this group's share, from its beginning to its end."""
    share = -(-wanted // groups)
    return list(rows[:: max(1, len(rows) // share)][:share])
