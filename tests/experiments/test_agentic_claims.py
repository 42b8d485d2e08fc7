"""What the experiment on agentic data says of lines that were made up, and the table that the report makes of it."""

import json
from pathlib import Path
from random import Random

from experiments.agentic_claims import claims, effects
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


def _verdicts(lines: list[Record]) -> list[str]:
    return [row["verdict"] for row in claims(lines, BUDGET)]


def test_the_whole_interval_must_lie_above_ten_points() -> None:
    assert _verdicts(_scores(0.6, 0.2)) == ["reproduces"]
    assert _verdicts(_scores(0.3, 0.22)) == ["not settled at this size"]
    assert _verdicts(_scores(0.1, 0.4)) == ["does not reproduce"]


def test_pairs_are_of_the_same_items_and_of_the_seeds_that_both_have() -> None:
    each = [1, 0] * 20
    both = [_score(arm, seed, each) for seed in range(3) for arm in ("requests", "before")]
    (claimed,) = claims([*both, _score("requests", 3, [1] * 40)], BUDGET)
    assert claimed["interval"] == "+0.0 to +0.0 points"
    assert "3 seeds" in claimed["ours"]


def test_fewer_than_three_seeds_make_no_claim() -> None:
    silent = [_score("requests", seed, [1] * 40, "irrelevance") for seed in range(3)]
    assert len(claims(silent, BUDGET)) == 1 and claims(silent[:2], BUDGET) == []
    assert claims([line for line in _scores(0.6, 0.2) if line["seed"] < 2], BUDGET) == []


def test_other_budgets_the_grammar_and_items_that_settings_are_chosen_by_are_no_evidence() -> None:
    for odd in ({"budget": 100}, {"grammar": True}, {"choose": True}):
        assert claims([line | odd for line in _scores(0.6, 0.2)], BUDGET) == []


def test_single_turns_are_judged_by_the_same_rules() -> None:
    lines = [line | {"arm": "singles" if line["arm"] == "requests" else "before"} for line in _scores(0.6, 0.2)]
    (claimed,) = claims(lines, BUDGET)
    assert claimed["claim"].startswith("Single turns") and claimed["verdict"] == "reproduces"


def test_silence_is_judged_by_the_interval_over_items() -> None:
    for share, verdict in ((0.9, "reproduces"), (0.6, "not settled at this size"), (0.2, "does not reproduce")):
        lines = [_score("requests", seed, _drawn(share, seed), "irrelevance") for seed in range(3)]
        assert _verdicts(lines) == [verdict]


def test_language_is_kept_when_no_seed_spread_reaches_the_bound() -> None:
    base: Record = {"record": "text", "arm": "base", "loss": 2.8}
    for losses, verdict in (((2.7, 2.71, 2.7), "reproduces"), ((2.9, 2.9, 2.91), "does not reproduce")):
        lines = [_line("text", "requests", seed, loss=loss) for seed, loss in enumerate(losses)]
        assert _verdicts([base, *lines]) == [verdict]


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
