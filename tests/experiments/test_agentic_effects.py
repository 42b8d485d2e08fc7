"""The table that the report makes of lines of the experiment on agentic data, here made up."""

import json
from pathlib import Path
from random import Random

from experiments.agentic_effects import effects
from experiments.results import Record
from stages.report.effect import effect

BUDGET = 8000


def _line(record: str, arm: str, seed: int, **more: object) -> Record:
    return {"record": record, "arm": arm, "seed": seed, "budget": BUDGET} | more


def _score(arm: str, seed: int, each: list[int], category: str = "simple_python", **more: object) -> Record:
    return _line("score", arm, seed, category=category, each=each, **({"grammar": False, "choose": False} | more))


def _drawn(share: float, seed: int, n: int = 100) -> list[int]:
    rng = Random(seed)
    return [int(rng.random() < share) for _ in range(n)]


def _scores(requests: float, before: float) -> list[Record]:
    lines = []
    for seed in range(3):
        lines.append(_score("requests", seed, _drawn(requests, seed)))
        lines.append(_score("before", seed, _drawn(before, 100 + seed)))
    return lines


def test_the_report_shows_every_arm_that_ran(tmp_path: Path) -> None:
    assert "no experiment has run" in effect(tmp_path).body
    lines = [*_scores(0.5, 0.1), _score("requests", 0, [1, 1, 0, 0], "multiple", grammar=True)]
    lines += [_line("desks", "all", 0, cases=4, each=[1, 0, 0, 0]), _line("text", "requests", 0, loss=2.7)]
    lines.append({"record": "text", "arm": "base", "loss": 2.8})
    found = [{"record": "effect"} | row for row in effects(lines, BUDGET)]
    file = tmp_path / "docs" / "experiments" / "agentic_data.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in found), encoding="utf-8")
    page = effect(tmp_path).body
    for shown in (
        "multiple, grammar",
        "50% [15, 85]",
        "25% [5, 70]",
        "held desks",
        "2.700",
        "2.800",
        "worlds of before",
    ):
        assert shown in page, shown
    assert "worlds of before" in page and "plain text alone" not in page
