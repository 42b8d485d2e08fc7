"""Views of the experiment's chart page: which charts come first, and which runs they compare.

MLflow's UI reads a shared view from a tag of the experiment (its button "Share"): JSON, deflated, in base64. A link
with `viewStateShareKey` opens it. Other metrics follow below, in sections of their own.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow.tracking import MlflowClient

from stages.tracking.store import VIEW_TAG, chart_page

SECTIONS: Mapping[str, Sequence[str]] = {  # of the whole experiment's view
    "What models know": ("text_loss", "text_loss_change", "validation_loss", "facts"),
    "Pre-training": ("train/loss", "train/max_logit", "train/tokens_per_s"),
    "Post-training": ("sft/loss", "rl/reward", "rl/length", "call_accuracy"),
}


def _chart(number: int, section: str, metric: str, kind: str) -> dict[str, Any]:
    chart: dict[str, Any] = {"type": kind, "uuid": f"chart-{number}", "metricSectionId": section, "metricKey": metric}
    chart |= {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
    if kind == "LINE":
        chart |= {"selectedMetricKeys": [metric], "xAxisKey": "step", "yAxisKey": "metric", "yAxisExpressions": []}
        chart |= {"lineSmoothness": 0, "scaleType": "linear", "xAxisScaleType": "linear", "range": {}}
        chart |= {"useGlobalXaxisKey": True, "useGlobalLineSmoothing": True, "ignoreOutliers": False}
    return chart


def view(sections: Mapping[str, Sequence[str]], under: str = "", against: Sequence[str] = ()) -> str:
    """The tag's value: a chart for each metric, a line where its name has a section (`train/loss`), else a bar.

    Args:
        sections: heading → metrics.
        under: only the children of this run.
        against: parameters that a chart of parallel coordinates sets against the first metric.
    """
    charts: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for number, (heading, metrics) in enumerate(sections.items()):
        section = f"section-{number}"
        part: dict[str, Any] = {"uuid": section, "name": heading, "display": True, "isReordered": False}
        parts.append(part | {"deleted": False, "isGenerated": False})
        if against and not number:
            chosen = {"selectedParams": list(against), "selectedMetrics": [metrics[0]], "showAllRuns": False}
            charts.append(_chart(len(charts), section, "", "PARALLEL") | chosen)
        for metric in metrics:
            charts.append(_chart(len(charts), section, metric, "LINE" if "/" in metric else "BAR"))
    state: dict[str, Any] = {"compareRunCharts": charts, "compareRunSections": parts, "isAccordionReordered": True}
    state["hideEmptyCharts"] = True
    # Sorted by anything but the time, children stand beside their parent; under it they are folded and have no charts.
    state |= {"orderByKey": f"metrics.`{next(iter(sections.values()))[0]}`", "orderByAsc": True}
    if under:
        state["searchFilter"] = f"tags.`mlflow.parentRunId` = '{under}'"
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def share(client: MlflowClient, experiment: str, key: str, value: str) -> str:
    """Keeps the view under `key`; returns the page of the UI that opens it, from `#` on."""
    client.set_experiment_tag(experiment, f"{VIEW_TAG}{key}", value)
    return chart_page(experiment, key)
