"""A stage on the user's own folder: what can't be is one line, and nothing of the pipeline's is touched."""

import json
from pathlib import Path

import pytest
import yaml

from stages.harness.errors import InputError
from stages.harness.own_model import OwnModel, own_model
from stages.harness.section import Section
from stages.harness.stage import Stage
from tests.conftest import ROOT
from tests.recording import KeptRecord

GRAPH = {
    "sft": {
        "cmd": "x",
        "deps": ["stages/sft", "data/rows", "models/pretrain"],
        "params": ["seed", "sft"],
        "outs": ["models/sft"],
    }
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "checkout" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": GRAPH}))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    Path("data/rows").write_text("rows")
    for folder in ("mine", "made"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
        (tmp_path / folder / "manifest.json").write_text("{}")
    return tmp_path


def test_without_arguments_it_is_the_pipelines_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert own_model("sft", []) is None
    assert own_model("sft", ["--model", "a", "--out", "b"]) == OwnModel(Path("a"), Path("b"))
    for given, line in (
        (["--model", "a"], "sft: --out FOLDER is missing; it goes with --model\n"),
        (["--out", "a"], "sft: --model FOLDER is missing; it goes with --out\n"),
    ):
        with pytest.raises(SystemExit) as caught:
            own_model("sft", given)
        assert caught.value.code == 2
        assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("model", "out", "said"),
    [
        ("../nowhere", "../new", r"--model \.\./nowhere: no model folder \(config\.json is missing\)"),
        ("data", "../new", r"--model data: no model folder"),
        ("../mine", "models/sft", r"--out models/sft: models/sft is the pipeline's; name another folder"),
        ("../mine", "models/../models/sft/x", r"models/sft is the pipeline's"),
        ("../mine", "models", r"--out models: models/sft is the pipeline's"),
        ("../mine", "../mine", r"one of it and --model \.\./mine holds the other"),
        ("../mine", "../mine/tuned", r"holds the other"),
        ("../mine", "..", r"holds the other"),
        ("../mine", "data", r"--out data: is there already and no model folder; name another one"),
        ("../mine", "data/rows/new", r"--out data/rows/new: \S+/data/rows is no folder that can be written to"),
        ("../mine", "data/rows", r"--out data/rows: is there already and no model folder"),
    ],
)
def test_folders_that_can_not_be(checkout: Path, model: str, out: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        OwnModel(Path(model), Path(out)).check()


def test_weights_that_a_model_only_names_are_not_overwritten(checkout: Path) -> None:
    (checkout / "mine" / "base.json").write_text(json.dumps({"path": str(checkout / "made")}))
    with pytest.raises(InputError, match=r"--out \.\./made: one of it and --model \S+/made holds the other"):
        OwnModel(Path("../mine"), Path("../made")).check()
    for broken in ("{", "[]", "{}", '{"path": 3}'):
        (checkout / "mine" / "base.json").write_text(broken)
        OwnModel(Path("../mine"), Path("../made")).check()


def test_an_earlier_result_may_be_made_again(checkout: Path) -> None:
    OwnModel(Path("../mine"), Path("../made")).check()
    OwnModel(Path("../mine"), Path("../new/deep")).check()


def test_its_outputs_go_into_the_users_folder_and_its_run_is_apart(checkout: Path) -> None:
    with Stage("sft", Section, KeptRecord, own=OwnModel(Path("../mine"), Path("../tuned"))) as stage:
        assert stage.start == Path("../mine")
        assert set(stage.track.inputs) == {"data/rows", "../mine"}
        assert stage.track.how == {"system": False, "apart": True}
        assert stage.place(Path("models/sft")) == checkout / "tuned"
        assert stage.place(Path("plots/sft.csv")) == checkout / "tuned" / "run" / "sft.csv"
        stage.finish("done", {"loss": 1.0})
    assert (checkout / "tuned" / "run" / "sft.json").exists()
    assert not Path("metrics").exists() and not Path("work/timings.json").exists()
    assert stage.track.outs == ()


def test_a_link_to_another_disk_is_followed(checkout: Path) -> None:
    (checkout / "disk").mkdir()
    Path("link").symlink_to(checkout / "disk" / "tuned")
    with Stage("sft", Section, KeptRecord, own=OwnModel(Path("../mine"), Path("link"))) as stage:
        assert stage.place(Path("models/sft")) == checkout / "disk" / "tuned"
        stage.finish("done")
    assert Path("link").is_symlink() and (checkout / "disk" / "tuned" / "run" / "sft.json").exists()


def test_the_missing_input_names_the_stage_that_makes_it(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("data/rows").unlink()
    with pytest.raises(SystemExit) as caught:
        Stage("sft", Section, KeptRecord, own=OwnModel(Path("../mine"), Path("../tuned")))
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("sft: data/rows: not found; run the stage that makes it first (dvc repro")
    Path("data/rows").write_text("rows")
    graph = GRAPH | {"pretrain": {"cmd": "x", "outs": ["models/pretrain"]}}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": graph}))
    with pytest.raises(SystemExit):
        Stage("sft", Section, KeptRecord)
    assert (
        "models/pretrain: not found; run the stage that makes it first (dvc repro pretrain)" in capsys.readouterr().err
    )
