"""The lines of a stage's progress in a log."""

import pytest

from stages.harness.progress import Progress


def test_more_than_was_thought_has_no_total_and_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("evaluate", 2, "answer", every_s=0.0) as progress:
        for _ in range(3):
            progress.update(1, "note")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("evaluate: 1/2 answer, ") and " s left  note" in first
    assert second.startswith("evaluate: 2/2 answer, ") and "0 s left" in second
    assert third.startswith("evaluate: 3 answer, ") and "left" not in third and third.endswith("note")
