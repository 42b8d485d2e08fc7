"""BFCL multi-turn: the ground truth as calls is valid by the package's checker; less, or other calls, are not."""

from collections.abc import Iterator, Sequence

import pytest

from gym.benchmarks.base import Grade, Reply, Sample, package_folder
from gym.benchmarks.bfcl_multi_turn import CATEGORIES, BfclMultiTurn, written

pytestmark = pytest.mark.skipif(package_folder("bfcl_eval") is None, reason="the package bfcl-eval is not installed")


@pytest.fixture(scope="module")
def bench() -> BfclMultiTurn:
    return BfclMultiTurn()


def played(bench: BfclMultiTurn, sample: Sample, replies: Sequence[Reply] | Iterator[Reply]) -> Grade:
    episode = bench.episode(sample)
    next(episode)
    for reply in replies:
        try:
            episode.send(reply)
        except StopIteration as stop:
            grade: Grade = stop.value
            return grade
    raise AssertionError("the dialogue goes on")


def test_the_ground_truth_is_valid_and_half_of_it_is_not(bench: BfclMultiTurn) -> None:
    samples = bench.items()
    assert len(samples) == bench.manifest.count == 800
    some = [one for category in CATEGORIES for one in [s for s in samples if s.group == category][::40]]
    before = len(vars(bench.simulators))
    grades = {one.id: played(bench, one, bench.gold_replies(one)) for one in some}
    assert {name: grade.result.reason for name, grade in grades.items() if grade.result.score != 1.0} == {}
    idle = [played(bench, one, [Reply("No.")] * 40).result.score for one in some]
    assert set(idle) == {0.0}
    assert len(vars(bench.simulators)) == before


def test_functions_come_later_and_only_known_ones_are_called(bench: BfclMultiTurn) -> None:
    row = next(one for one in bench.rows.values() if one.get("missed_function"))
    ((turn, (name, *_)),) = row["missed_function"].items()
    assert name not in bench.functions(row, int(turn) - 1)
    assert name in bench.functions(row, int(turn))
    call = {"function": {"name": "ls", "arguments": '{"a": true}'}}
    assert written([call], {"ls": {}}) == ["ls(a=True)"]
    for function in ({"name": "exec", "arguments": "{}"}, {"name": "ls", "arguments": '{"a=1)+f(b": 1}'}):
        with pytest.raises(ValueError, match="no such call"):
            written([{"function": function}], {"ls": {}})
