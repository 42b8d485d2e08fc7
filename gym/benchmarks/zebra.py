"""ZebraLogic: a grid puzzle with one solution; JSON answer; puzzle accuracy and cell accuracy (ZeroEval's rule).

`logic_grids` is a built-in set under the same rule.
"""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Grade, Manifest, Reply, Sample
from gym.verifiers.logic_grid import last_json, solve_rate

POOL: dict[str, tuple[str, ...]] = {
    "Name": ("Alice", "Arnold", "Bob", "Carol", "Eric", "Peter"),
    "Drink": ("coffee", "milk", "root beer", "tea", "water", "boba tea"),
    "Pet": ("bird", "cat", "dog", "fish", "hamster", "horse"),
    "Color": ("blue", "green", "purple", "red", "white", "yellow"),
    "Sport": ("basketball", "soccer", "swimming", "tennis", "baseball", "volleyball"),
    "Food": ("grilled cheese", "pizza", "soup", "spaghetti", "stew", "stir fry"),
}
PHRASE = {
    "Name": "{}",
    "Drink": "the person who drinks {}",
    "Pet": "the person who keeps the {}",
    "Color": "the person whose favorite color is {}",
    "Sport": "the person who plays {}",
    "Food": "the person who eats {}",
}
PROMPT = """# Example Puzzle

There are 2 houses, numbered 1 to 2 from left to right, as seen from across the street. Each house is occupied by a \
different person. Each house has a unique attribute for each of the following characteristics:
 - Each person has a unique name: `Alice`, `Bob`
 - People use unique values of Drink: `milk`, `tea`

## Clues:
1. Alice is in the first house.
2. The person who drinks tea is in the second house.

## Answer to the Example Puzzle

{{"reasoning": "Alice is in house 1, so Bob is in house 2. Tea is drunk in house 2, so milk in house 1.", \
"solution": {{"House 1": {{"Name": "Alice", "Drink": "milk"}}, "House 2": {{"Name": "Bob", "Drink": "tea"}}}}}}

# Puzzle to Solve

{puzzle}

# Instruction

Now please solve the above puzzle. Present your reasoning and solution in the following json format:

{template}
"""
Grid = Mapping[str, tuple[str, ...]]  # category → value of each house
Item = tuple[str, str]  # (category, value)


class Clue:
    """A sentence and the test that it makes of a full grid. `categories` are what the test reads."""

    def __init__(self, text: str, categories: frozenset[str], holds: Callable[[Grid], bool]) -> None:
        self.text, self.categories, self.holds = text, categories, holds


def _place(grid: Grid, item: Item) -> int:
    return grid[item[0]].index(item[1])


def _says(item: Item) -> str:
    return PHRASE[item[0]].format(item[1])


def _clues(solution: Grid, rng: random.Random) -> Iterator[Clue]:
    """True sentences about the solution, endless."""
    items = [(category, value) for category, values in solution.items() for value in values]
    size = len(next(iter(solution.values())))
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth")
    while True:
        a, b = rng.sample(items, 2)
        at, bt = _place(solution, a), _place(solution, b)
        both = frozenset({a[0], b[0]})
        first = _says(a)[0].upper() + _says(a)[1:]
        if rng.random() < 0.15:
            text = f"{first} is in the {ordinals[at]} house."
            yield Clue(text, frozenset({a[0]}), lambda g, a=a, at=at: _place(g, a) == at)  # type: ignore[misc]
        elif at == bt:
            yield Clue(f"{first} is {_says(b)}.", both, lambda g, a=a, b=b: _place(g, a) == _place(g, b))  # type: ignore[misc]
        elif at + 1 == bt:
            text = f"{first} is directly left of {_says(b)}."
            yield Clue(text, both, lambda g, a=a, b=b: _place(g, a) + 1 == _place(g, b))  # type: ignore[misc]
        elif abs(at - bt) == 1:
            text = f"{first} and {_says(b)} are next to each other."
            yield Clue(text, both, lambda g, a=a, b=b: abs(_place(g, a) - _place(g, b)) == 1)  # type: ignore[misc]
        elif at < bt and size > 2:
            text = f"{first} is somewhere to the left of {_says(b)}."
            yield Clue(text, both, lambda g, a=a, b=b: _place(g, a) < _place(g, b))  # type: ignore[misc]


def solutions(values: Grid, clues: Sequence[Clue], limit: int = 2) -> list[Grid]:
    """Up to `limit` grids that satisfy every clue: category by category, each permutation tested when it can be."""
    order = list(values)
    grids: list[Grid] = []

    def extend(index: int, grid: dict[str, tuple[str, ...]]) -> None:
        if len(grids) >= limit:
            return
        if index == len(order):
            grids.append(dict(grid))
            return
        category = order[index]
        ready = set(order[: index + 1])
        tests = [clue for clue in clues if category in clue.categories and clue.categories <= ready]
        for permutation in itertools.permutations(values[category]):
            grid[category] = permutation
            if all(clue.holds(grid) for clue in tests):
                extend(index + 1, grid)
        grid.pop(category, None)

    extend(0, {})
    return grids


def puzzle(houses: int, categories: int, seed: int) -> dict[str, Any]:
    """A puzzle in the official schema; the solver proves that it has one solution, and no clue is superfluous."""
    rng = random.Random(f"zebra-{houses}-{categories}-{seed}")
    names = ["Name", *sorted(rng.sample([name for name in POOL if name != "Name"], categories - 1))]
    values = {name: tuple(sorted(rng.sample(POOL[name], houses))) for name in names}
    solution = {name: tuple(rng.sample(some, houses)) for name, some in values.items()}
    clues: list[Clue] = []
    stream = _clues(solution, rng)
    while len(solutions(values, clues)) != 1:
        clue = next(stream)
        if clue.text not in {other.text for other in clues}:
            clues.append(clue)
    for clue in list(clues):
        rest = [other for other in clues if other is not clue]
        if len(solutions(values, rest)) == 1:
            clues = rest
    lines = [
        f"There are {houses} houses, numbered 1 to {houses} from left to right, as seen from across the street. Each "
        "house is occupied by a different person. Each house has a unique attribute for each of the following "
        "characteristics:"
    ]
    for name in names:
        what = "Each person has a unique name" if name == "Name" else f"People use unique values of {name}"
        lines.append(f" - {what}: " + ", ".join(f"`{value}`" for value in values[name]))
    lines += ["", "## Clues:", *(f"{i}. {clue.text}" for i, clue in enumerate(clues, 1))]
    rows = [[str(h + 1), *(solution[name][h] for name in names)] for h in range(houses)]
    return {
        "id": f"grid-{houses}x{categories}-{seed}",
        "size": f"{houses}*{categories}",
        "puzzle": "\n".join(lines),
        "solution": {"header": ["House", *names], "rows": rows},
    }


def generated() -> list[dict[str, Any]]:
    """Puzzles from 2×2 to 4×4."""
    return [puzzle(h, c, s) for h in range(2, 5) for c in range(2, 5) for s in range(4)]


def group_of(houses: int, categories: int) -> str:
    """ZeroEval's size classes, by the number of possible grids."""
    space = _factorial(houses) ** categories
    return "S" if space < 10**3 else "M" if space < 10**6 else "L" if space < 10**10 else "XL"


def _factorial(n: int) -> int:
    return 1 if n < 2 else n * _factorial(n - 1)


class ZebraLogic(Benchmark):
    """`path` is the official grid mode, solutions included (they are gated)."""

    name = "zebralogic"

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self.rows, self.manifest = self._read(path)

    def _read(self, path: Path | None) -> tuple[list[dict[str, Any]], Manifest]:
        return base.official(self.name, path, base.read_rows)

    def items(self) -> list[Sample]:
        samples = []
        for row in self.rows:
            base.missing(row, ("id", "size", "puzzle", "solution"), self.name)
            header, rows = row["solution"]["header"], row["solution"]["rows"]
            if any("___" in cell for line in rows for cell in line):
                raise DataError(f"{self.name}: {row['id']}: the solution is blanked out")
            gold = {f"House {line[0]}": dict(zip(header[1:], line[1:], strict=True)) for line in rows}
            blank = {house: dict.fromkeys(cells, "___") for house, cells in gold.items()}
            template = json.dumps({"reasoning": "___", "solution": blank}, indent=4)
            houses, categories = (int(x) for x in row["size"].split("*"))
            text = PROMPT.format(puzzle=row["puzzle"], template=template)
            group = group_of(houses, categories)
            samples.append(Sample(row["id"], base.user(text), {"grid": gold}, group=group))
        return samples

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        gold = sample.gold["grid"]
        cells = float(sum(map(len, gold.values())))
        result, share = solve_rate(reply.text, gold)
        parsed = last_json(reply.text)
        extracted = json.dumps(parsed.get("solution", parsed), ensure_ascii=False) if parsed else ""
        return Grade(result, extracted, {"cells": cells, "right_cells": round(share * cells)})

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(json.dumps({"reasoning": "", "solution": sample.gold["grid"]}))

    def summary(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        cells = sum(row["parts"]["cells"] for row in rows)
        metrics = {"cell_accuracy": sum(row["parts"]["right_cells"] for row in rows) / cells}
        for size in ("S", "M", "L", "XL"):
            scores = [row["score"] for row in rows if row["group"] == size]
            if scores:
                metrics[size.lower()] = sum(scores) / len(scores)
        return metrics


class LogicGrids(ZebraLogic):
    """Generated puzzles, proven to have one solution each."""

    name = "logic_grids"

    def _read(self, path: Path | None) -> tuple[list[dict[str, Any]], Manifest]:
        return base.built_in(self.name, path, generated())
