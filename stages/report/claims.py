"""The report's section of claims, from what the experiments left in docs/experiments/.

Each line of a file is a record. Of those, `claim` is a row of the table, `chart` is drawn: {title, x, y, series:
[{name, x: […], y: […]}]}.
`python -m stages.report.claims` writes the same table into docs/experiments/README.md, and its verdicts in short into
README.md, between their marks.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.harness.files import write_atomic
from stages.report.charts import Series, line_chart
from stages.report.page import Chapter, Html, chip, table

VERDICTS = ["reproduces", "not settled at this size", "does not reproduce"]
HEAD = ["claim", "K2", "here", "95 % interval", "verdict", "experiment"]
BEGIN, END = "<!-- claims: python -m stages.report.claims -->\n", "<!-- end of claims -->\n"


def records(root: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """(name of the experiment, record) of every record of a kind, by name."""
    files = sorted((root / "docs" / "experiments").glob("*.jsonl"))
    every = [(file.stem, json.loads(line)) for file in files for line in file.read_text("utf-8").strip().split("\n")]
    return [(name, record) for name, record in every if record["record"] == kind]


def rows(root: Path) -> list[list[str]]:
    """The table of claims under `HEAD`."""
    return [
        [*(str(claim[key]) for key in ("claim", "k2", "ours", "interval", "verdict")), name]
        for name, claim in records(root, "claim")
    ]


def markdown(root: Path) -> str:
    """The table for docs/experiments/README.md, by verdict."""
    return _table([HEAD, *sorted(rows(root), key=lambda row: VERDICTS.index(row[4]))])


def summary(root: Path) -> str:
    """The verdicts for README.md: how many, and which claims with what interval."""
    every = rows(root)
    lines = [["verdict", "claims", "which, with the 95 % interval of what was measured"]]
    for verdict in VERDICTS:
        mine = [f"{row[0]} ({row[3]})" for row in every if row[4] == verdict]
        lines.append([verdict, str(len(mine)), "<br>".join(mine)])
    return f"{len(every)} claims:\n\n{_table(lines)}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    marked = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in marked)


def _verdict(text: str) -> Html:
    if text.startswith("reproduces"):
        return chip(text, "yes")
    return chip(text, "no" if text.startswith("does not") else "open")


def _chart(value: dict[str, Any]) -> str:
    series = [Series(curve["name"], curve["x"], curve["y"]) for curve in value["series"]]
    return line_chart(value["title"], series, value["x"], value["y"])


def claims(root: Path) -> Chapter:
    """Every claim of K2 that was measured here: K2's figure, ours at this scale, interval, verdict."""
    table_rows = [[*row[:4], _verdict(row[4]), row[5]] for row in rows(root)]
    if not table_rows:
        return Chapter("claims", "Claims", "<p>no experiment has run</p>")
    charts = "".join(_chart(chart) for _, chart in records(root, "chart"))
    lead = "K2's claims at the scale of a laptop, several seeds each. What does not reproduce here is reported as such."
    return Chapter("claims", "Claims", f'{table(HEAD, table_rows)}<div class="grid2">{charts}</div>', lead)


def main() -> None:
    for path, text in ((Path("README.md"), summary(Path())), (Path("docs/experiments/README.md"), markdown(Path()))):
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        with write_atomic(path) as tmp:
            tmp.write_text(f"{before}{BEGIN}{text}{END}{rest.split(END)[1]}", encoding="utf-8")
        print(f"{path}: {len(rows(Path()))} claims")


if __name__ == "__main__":
    main()
