"""The registry on SQLite: real checkpoints, DVC's own cache and remote."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from agents.chat.open import open_client
from agents.chat.protocol import ChatRequest
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.model_folder import save_model_folder
from k2model.model import K2Model
from stages.harness.errors import InputError
from stages.tracking import __main__ as models
from stages.tracking import registry
from stages.tracking.dvc_store import digest
from stages.tracking.gate import GateParams, Rule
from stages.tracking.registry import NAME, versions
from stages.tracking.store import experiment_id, tracking_uri
from tests.conftest import checkout_env
from tests.databases import tracked_in

GATE = GateParams(rules=[Rule(metric="validation_loss", better="lower", bound=6.0, slack=0.1)])


def _make(root: Path, seed: int, loss: float) -> None:
    """A model folder made by a DVC stage, and the scores beside it."""
    made = root / "made"
    shutil.rmtree(made, ignore_errors=True)
    tokenizer = K2Tokenizer(train_tokenizer(["a small text about a small house and a cat"] * 20, 290))
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size)
    save_model_folder(K2Model(config, seed=seed), made / "qat", tokenizer, [])
    (root / "metrics").mkdir(exist_ok=True)
    (root / "metrics" / "scores.json").write_text(json.dumps({"validation_loss": loss, "facts": 0.5}))
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=root, env=checkout_env(), check=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    tracked_in(tmp_path, monkeypatch)
    code = "import shutil; shutil.copytree('made/qat', 'models/qat', dirs_exist_ok=True)"
    stage = {"cmd": f'python -c "{code}"', "deps": ["made"], "outs": ["models/qat"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"qat": stage}}))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=checkout_env())
    mlflow.set_tracking_uri(tracking_uri(tmp_path))
    yield tmp_path


def _answer(folder: Path, root: Path) -> str:
    client = open_client(str(folder), store=root / "direct.sqlite")
    return client.complete([ChatRequest(({"role": "user", "content": "a house"},), max_tokens=6)])[0].text


def _loaded(alias: str) -> str:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@{alias}")
    asked = pd.DataFrame({"prompt": ["a house"]})
    return str(model.predict(asked, params={"max_tokens": 6})[0]["completion"])


def test_versions_aliases_lineage_and_what_they_load(checkout: Path) -> None:
    _make(checkout, seed=1, loss=5.0)
    client = MlflowClient(tracking_uri(checkout))
    mlflow.set_tracking_uri(tracking_uri(checkout))
    made_by = client.create_run(experiment_id(checkout), tags={"out.models/qat": digest(Path("models/qat"))})
    client.set_terminated(made_by.info.run_id)
    assert registry.register_and_judge(checkout, GATE) == "model k2 version 1: champion, the gate holds"
    assert registry.register_and_judge(checkout, GATE) == "model k2 version 1: champion, the gate holds"
    assert len(versions(checkout)) == 1, "the same checkpoint twice is one version"
    first_answer = _answer(checkout / "models" / "qat", checkout)
    lock = yaml.safe_load((checkout / "dvc.lock").read_text())["stages"]["qat"]["outs"]
    version = client.get_model_version(NAME, "1")
    assert {f"dvc.{out['path']}": out["md5"] for out in lock}.items() <= version.tags.items()
    assert version.tags["checkpoint"] == digest(checkout / "models" / "qat")
    assert version.tags["run.qat"] == made_by.info.run_id
    assert client.get_logged_model(version.source.removeprefix("models:/")).metrics[0].key in (
        "facts",
        "validation_loss",
    )
    assert _loaded("champion") == first_answer

    dvc = [sys.executable, "-m", "dvc"]
    remote = checkout.parent / f"{checkout.name}-remote"
    subprocess.run([*dvc, "remote", "add", "-q", "-d", "store", str(remote)], check=True, env=checkout_env())
    subprocess.run([*dvc, "push", "-q"], check=True, env=checkout_env())
    _make(checkout, seed=2, loss=5.2)
    said = registry.register_and_judge(checkout, GATE)
    broken = "validation_loss 5.2 is above the champion's 5 by more than 0.1"
    assert said == f"model k2 version 2: candidate, not champion: {broken}"
    assert [(one.number, one.aliases) for one in versions(checkout)] == [(2, ("candidate",)), (1, ("champion",))]
    assert _loaded("candidate") == _answer(checkout / "models" / "qat", checkout)
    assert _loaded("champion") == first_answer, "the champion's weights come from DVC's cache"

    shutil.rmtree(checkout / ".dvc" / "cache")
    shutil.rmtree(checkout / "work" / "registry")
    assert _loaded("champion") == first_answer, "the champion's weights come from the remote"
    shutil.rmtree(checkout / ".dvc" / "cache")
    shutil.rmtree(checkout / "work" / "registry")
    shutil.rmtree(remote)
    with pytest.raises(InputError, match="is in no DVC cache or remote"):
        _loaded("champion")


def test_the_command_lists_and_promotes_with_a_status(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _make(checkout, seed=1, loss=5.0)
    root = Path(models.__file__).parents[2]
    value = yaml.safe_load((root / "params.yaml").read_text())
    value["gate"] = {"rules": [{"metric": "validation_loss", "better": "lower", "bound": 4.0, "slack": 0.0}]}
    (checkout / "params.yaml").write_text(yaml.safe_dump(value))
    with pytest.raises(SystemExit) as stopped:
        models.main(["--promote"])
    assert stopped.value.code == 1
    assert "not champion: validation_loss 5 is above the bound 4" in capsys.readouterr().out
    value["gate"]["rules"][0]["bound"] = 5.5
    (checkout / "params.yaml").write_text(yaml.safe_dump(value))
    with pytest.raises(SystemExit) as stopped:
        models.main(["--promote", "--version", "1"])
    assert stopped.value.code == 0
    models.main([])
    listed = capsys.readouterr().out.splitlines()
    assert listed[-1] == "models: 1 versions, champion version 1"
    assert "candidate, champion" in listed[-2]
    with pytest.raises(SystemExit) as stopped:
        models.main(["--promote", "--version", "7"])
    assert (stopped.value.code, capsys.readouterr().err) == (2, "model k2: no version 7\n")
