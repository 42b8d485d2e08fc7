"""What a flow run leaves in the Prefect UI when it ends, and what it stops."""

import json
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.process import stop_all
from flows.ui import mlflow_address


def mlflow_link(stage: str, root: Path = Path()) -> str:
    """The page of the stage's last MLflow run on `K2_MLFLOW_UI`, else on `make ui`'s; empty when it has none."""
    path = root / "work" / "runs.json"
    runs: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else {}
    if stage not in runs:
        return ""
    return f"{mlflow_address(root)}/#/experiments/{runs[stage]['experiment']}/runs/{runs[stage]['run']}"


def scores(root: Path = Path()) -> list[dict[str, str]]:
    """Every score with its interval, as rows of a table artifact."""
    path = root / "metrics" / "scores.json"
    metrics: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    rows = []
    for name in sorted(key for key in metrics if f"{key}_n" in metrics):
        low, high = metrics[f"{name}_ci_low"], metrics[f"{name}_ci_high"]
        interval = f"{low:.1%} – {high:.1%}"
        rows.append(
            {"score": name, "value": f"{metrics[name]:.1%}", "95 %": interval, "n": f"{metrics[f'{name}_n']:.0f}"}
        )
    return rows


def on_completion(flow: Any, run: Any, state: Any) -> None:
    """The table of scores, the pipeline's MLflow run and the report."""
    if rows := scores():
        create_table_artifact(rows, key="scores", description="The scores of this checkout")
    if link := mlflow_link("pipeline"):
        create_link_artifact(link, link_text="MLflow: this pipeline run", key="mlflow-run")
    report = Path("report/index.html")
    if report.exists():
        create_link_artifact(report.resolve().as_uri(), link_text="report/index.html", key="report")


def on_failure(flow: Any, run: Any, state: Any) -> None:
    """The reason, where a person looks first."""
    create_markdown_artifact(f"## {run.name} failed\n\n{state.message}", key="failure")


def stop(flow: Any, run: Any, state: Any) -> None:
    """Ends the stage's process tree; its work folder lets the next run continue."""
    stop_all()
