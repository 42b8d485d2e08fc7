"""The view that MLflow's chart page opens: decoded as the page does, kept by a real store, shown by a real browser."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from flows.ui import charts_address, mlflow_server
from stages.tracking import charts
from stages.tracking.groups import RunGroup
from stages.tracking.runs import Track
from stages.tracking.store import EXPERIMENT, VIEW_TAG, chart_page
from tests.browser import needs_chromium, open_tab
from tests.servers import free_port


def _view(root: Path, key: str) -> dict[str, Any]:
    """What the page reads: an experiment's tag, inflated."""
    experiment = MlflowClient().get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    head, _, text = experiment.tags[f"{VIEW_TAG}{key}"].partition(";")
    assert head == "deflate" and len(experiment.tags[f"{VIEW_TAG}{key}"]) < 5000  # what MLflow lets a tag hold
    view: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return view


def _pipeline(root: Path) -> None:
    work = root / "work" / "pretrain" / "f1"
    work.mkdir(parents=True)
    track = Track("pretrain", root, work, {"seed": 0}, {}, system=False)
    for step in range(1, 4):
        track.log({"train/loss": 1.0 / step}, step)
    track.log({"text_loss": 2.5})
    track.end("FINISHED", {})


def test_a_pipelines_run_leaves_the_view_of_the_charts_that_matter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K2_PIPELINE_RUN", "this run")
    _pipeline(root)
    view = _view(root, EXPERIMENT)
    sections = {part["uuid"]: part["name"] for part in view["compareRunSections"]}
    shown = [(sections[one["metricSectionId"]], one["metricKey"], one["type"]) for one in view["compareRunCharts"]]
    assert shown[0] == ("What models know", "text_loss", "BAR")
    assert ("Pre-training", "train/loss", "LINE") in shown
    assert [metric for _, metric, _ in shown] == [one for metrics in charts.SECTIONS.values() for one in metrics]
    assert "searchFilter" not in view


def _group(root: Path) -> tuple[RunGroup, str]:
    runs = RunGroup.open("lr", root, "sweep")
    for number, value in enumerate((3.5, 3.25)):
        child = runs.start(f"lr-{number}", {"pretrain.optimizer.lr": 0.1 * number})
        runs.finish(child, {"validation_loss": value, "facts": 0.5})
    return runs, runs.show(["validation_loss", "facts"], ["pretrain.optimizer.lr"])


def test_a_groups_view_compares_its_own_children_by_the_metric_that_was_asked_for(root: Path) -> None:
    runs, page = _group(root)
    view = _view(root, runs.parent)
    assert page == chart_page(runs.experiment, runs.parent)
    first, second, third = view["compareRunCharts"]
    assert (first["type"], first["selectedParams"], first["selectedMetrics"]) == (
        "PARALLEL",
        ["pretrain.optimizer.lr"],
        ["validation_loss"],
    )
    assert [second["metricKey"], third["metricKey"]] == ["validation_loss", "facts"]
    found = MlflowClient().search_runs([runs.experiment], view["searchFilter"])
    assert sorted(run.info.run_name for run in found) == ["lr-0", "lr-1"]
    assert page in MlflowClient().get_run(runs.parent).data.tags["mlflow.note.content"]


@pytest.mark.slow
def test_the_ui_names_the_page_once_a_pipeline_has_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K2_PIPELINE_RUN", "this run")
    with mlflow_server(free_port()) as url:
        assert charts_address(url) == ""
        _pipeline(root)
        experiment = MlflowClient().get_experiment_by_name(EXPERIMENT)
        assert experiment is not None and charts_address(url) == f"{url}/{chart_page(experiment.experiment_id)}"


@needs_chromium
@pytest.mark.slow
def test_a_browser_opens_compared_runs_on_these_charts(root: Path, tmp_path: Path) -> None:
    _, page = _group(root)
    with mlflow_server(free_port()) as url, open_tab(tmp_path / "browser") as tab:
        tab.open(f"{url}/{page}", 1400)
        tab.wait("document.body.innerText.includes('Compared') && document.body.innerText.includes('lr-1')")
        tab.wait("document.querySelectorAll('.js-plotly-plot').length >= 2")
        text = tab.value("document.body.innerText")
    runs, _, shown = text.partition("Compared")
    assert "lr-0" in runs and "lr-1" in runs
    assert shown.index("validation_loss") < shown.index("facts")
