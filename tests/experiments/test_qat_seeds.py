"""The stage `qat` with several seeds, here a stand-in that leaves what the stage leaves."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments import qat_seeds
from experiments.figures import METRICS
from experiments.results import RunsFile, stamp
from tests.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(qat_seeds, "RUNS", RunsFile(tmp_path / "qat_seeds.jsonl"))
    monkeypatch.setattr(qat_seeds, "conclude", lambda name: None)
    return tmp_path


def test_each_seed_runs_once_with_its_own_parameters(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = subprocess.run

    def ran(argv: list[str], **given: Any) -> "subprocess.CompletedProcess[Any]":
        if argv[0] != sys.executable:  # git, for the stamp
            return real(argv, **given)
        folder = Path(given["cwd"]).resolve()
        seed = yaml.safe_load((folder / "params.yaml").read_text())["seed"]
        assert (folder / "data").resolve() == checkout / "data" and (folder / "dvc.yaml").is_file()
        assert argv[1:] == ["-m", "stages.qat", "--model", str(checkout / "models/rl"), "--out", "made"]
        assert given["env"]["MLFLOW_TRACKING_URI"].endswith(f"{checkout}/mlflow.db")
        asked.append(seed)
        (folder / "made" / "run").mkdir(parents=True)
        found = {"loss_bf16": 3.0, "ptq_minus_bf16": 0.1, "qat_minus_bf16": 0.04, "documents": 2, "steps": 1, "more": 1}
        (folder / "made" / "run" / "qat.json").write_text(json.dumps(found))
        return subprocess.CompletedProcess(argv, 0)

    monkeypatch.setattr(subprocess, "run", ran)
    monkeypatch.setattr(sys, "argv", ["qat_seeds", "--seeds", "0,5"])
    qat_seeds.main()
    qat_seeds.main()
    assert asked == [0, 5]
    lines = qat_seeds.RUNS.lines()
    assert [line["seed"] for line in lines] == [0, 5] and "more" not in lines[0]
    assert lines[0]["stamp"] == stamp()
    cost, gained = (METRICS["qat_seeds"][name](lines) for name in ("cost_of_qat", "qat_less_rounding"))
    assert cost is not None and cost.values == [0.04, 0.04]
    assert gained is not None and gained.values == pytest.approx([-0.06, -0.06])


def test_a_stage_that_fails_ends_it_and_leaves_no_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["qat_seeds", "--seeds", "0"])
    with pytest.raises(SystemExit) as ended:
        qat_seeds.main()  # the real stage: there is no model
    assert ended.value.code == 2 and qat_seeds.RUNS.lines() == []
