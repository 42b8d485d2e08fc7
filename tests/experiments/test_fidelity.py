"""`python -m experiments.fidelity --judge URL#MODEL`"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.mock_endpoint import Action, MockEndpoint
from experiments import fidelity


def _lenient(body: dict[str, Any], before: int) -> Action:
    """Finds no fact lost or new, and in one text of a tortoise one."""
    facts = ["it weighs 250 kg"] if "tortoise" in body["messages"][-1]["content"] else []
    message = {"role": "assistant", "content": json.dumps({"facts": facts})}
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    return Action(raw=json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}).encode())


def _row(said: str, name: str) -> list[str]:
    return next(line for line in said.splitlines() if line.startswith(f"| {name}")).strip("| ").split(" | ")


def test_a_judge_is_compared_with_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("K2_ANSWERS", str(tmp_path / "answers.sqlite"))
    with MockEndpoint(_lenient) as server:
        monkeypatch.setattr(sys, "argv", ["fidelity", "--judge", f"{server.url}#judge", "--sets", "held"])
        fidelity.main()
        assert server.asked.total() == 300, "each of 150 pairs in both directions"
    said = capsys.readouterr().out
    assert _row(said, "held, judge")[1:2] == ["150"] and _row(said, "held, judge")[-1] == "3 of 90"
    hard, both = _row(said, "held, hard"), _row(said, "held, both")
    assert int(hard[-1].split()[0]) <= int(both[-1].split()[0]) <= int(hard[-1].split()[0]) + 3


def test_a_wrong_set_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fidelity", "--sets", "held,G"])
    with pytest.raises(SystemExit):
        fidelity.main()
    assert "--sets: no G; there are first, held, long" in capsys.readouterr().err
