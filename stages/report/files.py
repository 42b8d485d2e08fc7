"""What the sections read: JSON that may not be there yet, CSV curves, numbers as text."""

import csv
import json
from pathlib import Path
from typing import Any

from stages.harness.errors import InputError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or an empty one when the stage has not run.

    Raises:
        InputError: there is a file, but no JSON object in it.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def read_curves(path: Path, step: str) -> dict[str, list[tuple[float, float]]]:
    """Each column of a CSV as (step, value) pairs, in order, where it has a value.

    Raises:
        InputError: a value is no number, or there is no column `step`.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                for key, value in row.items():
                    if value and key != step:
                        curves.setdefault(key, []).append((float(row[step]), float(value)))
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"{path}: not a table of numbers by {step}: {type(error).__name__}: {error}") from None
    return curves


def number(value: Any) -> str:
    """A number as a person reads it."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.4g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)
