"""The report's section of claims, from what the experiments left in docs/experiments/.

A file may hold `claims`, rows of the table, and `charts`: {title, x, y, series: [{name, x: […], y: […]}]}.
"""

import json
from pathlib import Path
from typing import Any

from stages.report.charts import Series, line_chart
from stages.report.page import Html, Section, chip, table


def _verdict(text: str) -> Html:
    if text.startswith("reproduces"):
        return chip(text, "yes")
    return chip(text, "no" if text.startswith(("does not", "contradicts")) else "open")


def _chart(value: dict[str, Any]) -> str:
    series = [Series(one["name"], one["x"], one["y"]) for one in value["series"]]
    return line_chart(value["title"], series, value["x"], value["y"])


def claims(root: Path) -> Section:
    """Every claim of K2 that was measured here: K2's figure, ours at this scale, interval, verdict."""
    rows: list[list[str]] = []
    charts: list[str] = []
    for file in sorted((root / "docs" / "experiments").glob("*.json")):
        value: dict[str, Any] = json.loads(file.read_text())
        for claim in value.get("claims", []):
            cells = [str(claim.get(key, "")) for key in ("claim", "k2", "ours", "interval")]
            rows.append([*cells, _verdict(str(claim["verdict"])), file.stem])
        charts += [_chart(chart) for chart in value.get("charts", [])]
    if not rows:
        return Section("claims", "Claims", "<p>no experiment has run</p>")
    head = ["claim", "K2", "here", "95 % interval", "verdict", "experiment"]
    body = f'{table(head, rows)}<div class="grid2">{"".join(charts)}</div>'
    lead = "K2's claims at the scale of a laptop, several seeds each. What does not reproduce here is reported as such."
    return Section("claims", "Claims", body, lead)
