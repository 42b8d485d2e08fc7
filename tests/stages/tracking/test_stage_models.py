"""One LoggedModel for each stage's model, on SQLite: what made it, from what, and what was measured on what."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from stages.tracking import outbox
from stages.tracking.dvc_store import digest
from stages.tracking.runs import Track
from stages.tracking.sender import Sender

CORPUS = {"data/corpus.parquet": "c" * 64}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "PAUSE_S", 0.0)


def _stage(root: Path, name: str, inputs: dict[str, str], loss: float, status: str = "FINISHED") -> None:
    """A stage that leaves models/<name>."""
    work = root / "work" / name / "f1"
    work.mkdir(parents=True)
    track = Track(name, root, work, {"seed": 0, name: {"lr": 0.1}}, inputs, system=False)
    track.log({"train/loss": 9.0}, 0)
    out = root / "models" / name
    out.mkdir(parents=True)
    (out / "manifest.json").write_text(f'{{"made by": "{name}"}}')
    track.log({"text_loss": loss, "steps": 3.0})
    track.end(status, {f"{name}/text_loss": loss}, [Path("models") / name, Path("data/rollouts.parquet")])


def test_a_stages_model_has_its_run_its_origin_its_data_and_its_metrics(root: Path) -> None:
    _stage(root, "base", CORPUS, 4.0)
    _stage(root, "sft", CORPUS | {"models/base": "b" * 64}, 3.0)
    _stage(root, "rl", CORPUS | {"models/sft": "5" * 64}, 2.0, status="FAILED")
    client = MlflowClient()
    (experiment,) = {one.experiment_id for one in client.search_experiments() if one.name == "k2"}
    models = {model.name: model for model in client.search_logged_models([experiment])}
    assert set(models) == {"base", "sft"}, "a run that failed has made none"
    sft, base = models["sft"], models["base"]
    assert sft.status.name == "READY" and sft.params["sft.lr"] == "0.1"
    assert sft.tags["checkpoint"] == digest(Path("models/sft")) and sft.tags["data.data/corpus.parquet"] == "c" * 16
    measured = {metric.key: (metric.value, metric.dataset_name, metric.dataset_digest) for metric in sft.metrics}
    assert measured == {"text_loss": (3.0, "corpus.parquet", "c" * 16), "steps": (3.0, None, None)}
    on_text = [{"dataset_name": "corpus.parquet", "dataset_digest": "c" * 16}]
    better = client.search_logged_models([experiment], "metrics.text_loss < 3.5", datasets=on_text)
    assert [model.name for model in better] == ["sft"]
    run = client.get_run(sft.source_run_id)
    assert [model.model_id for model in run.inputs.model_inputs] == [base.model_id], "it went on from base"
    assert [model.model_id for model in run.outputs.model_outputs] == [sft.model_id]
    assert len(client.get_metric_history(run.info.run_id, "text_loss")) == 1, "a metric of run and model is one point"


def test_a_model_that_is_told_twice_is_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    call = Sender.__call__

    def twice(self: Sender, event: dict[str, object]) -> None:
        call(self, event)
        if event["event"] == "model":
            told.append(event)
            call(self, event)

    monkeypatch.setattr(Sender, "__call__", twice)
    _stage(root, "base", CORPUS, 4.0)
    client = MlflowClient()
    (model,) = client.search_logged_models([one.experiment_id for one in client.search_experiments()])
    assert told and [metric.key for metric in model.metrics].count("text_loss") == 1
