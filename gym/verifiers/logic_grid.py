"""Logic grids (ZebraLogic's format): a JSON solution by house, scored by cell and as a whole."""

import json
import re
from collections.abc import Mapping

from gym.verifiers.result import Result, Status

Grid = Mapping[str, Mapping[str, str]]


def last_json(text: str) -> dict[str, object] | None:
    """The last complete JSON object in a text."""
    decoder = json.JSONDecoder()
    best: dict[str, object] | None = None
    place = 0
    while (start := text.find("{", place)) >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            place = start + 1
            continue
        if isinstance(value, dict):
            best = value
        place = end
    return best


def _plain(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return re.sub(r"\s+", " ", str(value)).strip().lower()


def solve_rate(answer: str, gold: Grid) -> tuple[Result, float]:
    """(1.0 when every cell is right, share of right cells)."""
    said = last_json(answer)
    cells = [(house, name) for house, row in gold.items() for name in row]
    if said is None:
        return Result(0.0, Status.NO_ANSWER, "no JSON object in the answer"), 0.0
    solution = said.get("solution", said)
    right = 0
    for house, name in cells:
        row = solution.get(house) if isinstance(solution, dict) else None
        cell = row.get(name) if isinstance(row, dict) else None
        right += cell is not None and _plain(cell) == _plain(gold[house][name])
    share = right / len(cells)
    return Result(float(right == len(cells)), Status.SCORED, f"{right} of {len(cells)} cells"), share
