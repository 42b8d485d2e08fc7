"""Logic grids (ZebraLogic's format): a JSON solution by house, scored by cell and as a whole."""

import json
import re
from collections.abc import Mapping

from gym.verifiers.result import Result, Status
from k2model.chat.model_json import ModelJsonError, loads_model_json

Grid = Mapping[str, Mapping[str, str]]
_FINDER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)  # finds where an object ends, no more


def last_json(text: str) -> dict[str, object] | None:
    """The last complete JSON object in a text, or None when there is none that can be used."""
    last, position = "", 0
    while (start := text.find("{", position)) >= 0:
        try:
            _, position = _FINDER.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            position = start + 1
        else:
            last = text[start:position]
    try:
        return dict(loads_model_json(last)) if last else None
    except ModelJsonError:
        return None


def _plain(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return re.sub(r"\s+", " ", str(value)).strip().lower()


def solve_rate(answer: str, gold: Grid) -> tuple[Result, float]:
    """(1.0 when every cell is right, share of right cells)."""
    parsed = last_json(answer)
    cells = [(house, name) for house, row in gold.items() for name in row]
    if parsed is None:
        return Result(0.0, Status.NO_ANSWER, "no JSON object in the answer"), 0.0
    solution = parsed.get("solution", parsed)
    right = 0
    for house, name in cells:
        row = solution.get(house) if isinstance(solution, dict) else None
        cell = row.get(name) if isinstance(row, dict) else None
        right += cell is not None and _plain(cell) == _plain(gold[house][name])
    share = right / len(cells)
    return Result(float(right == len(cells)), Status.SCORED, f"{right} of {len(cells)} cells"), share
