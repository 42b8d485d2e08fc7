"""What the sections read: JSON that may not be there yet, CSV curves, numbers as text."""

import csv
import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or an empty one when the stage has not run."""
    value: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return value


def read_curves(path: Path, step: str) -> dict[str, list[tuple[float, float]]]:
    """Each column of a CSV as (step, value) pairs, in order, where it has a value."""
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for key, value in row.items():
            if value and key != step:
                found.setdefault(key, []).append((float(row[step]), float(value)))
    return found


def number(value: Any) -> str:
    """A number as a person reads it."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)
