"""The report's section of claims, from the ledger that `python -m experiments --write` leaves in docs/experiments/.

A line of docs/experiments/ledger.jsonl is a claim with its rule, verdict, interval and both commits. Lines `chart` of
the experiments' own files are drawn beneath: {title, x, y, series: [{name, x: […], y: […]}]}.
`python -m stages.report.claims` writes the tables into docs/experiments/README.md, and the verdicts in short into
README.md, between their marks.
"""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.harness.files import write_atomic
from stages.report.charts import Against, Series, line_chart, threshold_chart
from stages.report.page import Chapter, Html, chip, table

UNTESTED = "not tested here"
VERDICTS = {"reproduces": "yes", "not settled": "open", "does not reproduce": "no", UNTESTED: "open"}  # kinds of chips
HEAD = ["claim", "source", "K2", "here", "95 % interval", "wanted", "size, seeds", "verdict", "rule", "figures"]
UNTESTED_HEAD = ["claim", "source", "K2", "wanted", "size, seeds", "what it needs", "rule"]
BEGIN, END = "<!-- claims: python -m stages.report.claims -->\n", "<!-- end of claims -->\n"
LEAD = (
    "What K2's reports claim, each with a rule and both commits, of rule and figures: a rule that came after its run "
    "reproduces nothing. A claim reproduces when the whole interval lies beyond the threshold. A verdict is "
    "about the size beside it, not about K2."
)


def records(root: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """(name of the file, record) of every record of a kind, by name."""
    files = sorted((root / "docs" / "experiments").glob("*.jsonl"))
    every = [(file.stem, json.loads(line)) for file in files for line in file.read_text("utf-8").strip().split("\n")]
    return [(name, record) for name, record in every if record["record"] == kind]


def judged(root: Path) -> list[dict[str, Any]]:
    """The ledger, by verdict."""
    every = [record for _, record in records(root, "verdict")]
    return sorted(every, key=lambda one: list(VERDICTS).index(one["verdict"]))


def interval(one: dict[str, Any]) -> str:
    return f"{one['low']:.3g} to {one['high']:.3g} {one['unit']}"


def wanted(one: dict[str, Any]) -> str:
    also = f", reaching {one['reaches']:g}" if "reaches" in one else ""
    return f"{one['direction']} {one['threshold']:g}{also}"


def sized(one: dict[str, Any]) -> str:
    return f"{one['size']}, {one['seeds']}"


def rows(root: Path) -> list[list[str]]:
    """The claims that were tested, under `HEAD`."""
    return [
        [
            one["statement"],
            one["source"],
            one["k2"],
            one["told"],
            interval(one),
            wanted(one),
            sized(one),
            f"{one['verdict']} ({one['note']})" if one["note"] else one["verdict"],
            one["rule_commit"] or "not committed",
            one["run_commit"],
        ]
        for one in judged(root)
        if one["verdict"] != UNTESTED
    ]


def untested(root: Path) -> list[list[str]]:
    """The others, under `UNTESTED_HEAD`."""
    return [
        [
            one["statement"],
            one["source"],
            one["k2"],
            f"{wanted(one)} {one['unit']}",
            sized(one),
            one["note"],
            one["rule_commit"] or "not committed",
        ]
        for one in judged(root)
        if one["verdict"] == UNTESTED
    ]


def markdown(root: Path) -> str:
    """The tables for docs/experiments/README.md."""
    return f"{_table([HEAD, *rows(root)])}\nNot tested here:\n\n{_table([UNTESTED_HEAD, *untested(root)])}"


def summary(root: Path) -> str:
    """The verdicts for README.md: how many, and which claims with what interval at which size."""
    every = judged(root)
    lines = [["verdict", "claims", "which, with the 95 % interval, what was wanted, and the size"]]
    for verdict in VERDICTS:
        mine = [one for one in every if one["verdict"] == verdict]
        shown = [
            one["statement"]
            if verdict == UNTESTED
            else f"{one['statement']} ({interval(one)}, wanted {wanted(one)}; {one['size']})"
            for one in mine
        ]
        lines.append([verdict, str(len(mine)), "<br>".join(shown)])
    return f"{len(every)} claims:\n\n{_table(lines)}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    marked = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in marked)


def _verdict(text: str) -> Html:
    word, _, note = text.partition(" (")
    told = chip(word, VERDICTS[word])
    said = html.escape(note.removesuffix(")"))
    return Html(f'{told} <span class="soft">{said}</span>') if note else told


def _chart(value: dict[str, Any]) -> str:
    series = [Series(curve["name"], curve["x"], curve["y"]) for curve in value["series"]]
    return line_chart(value["title"], series, value["x"], value["y"])


def _against(every: Sequence[dict[str, Any]]) -> str:
    """Each interval beside its threshold."""
    drawn = [
        Against(one["name"], one["low"], one["value"], one["high"], one["threshold"], one["direction"], one["unit"])
        for one in every
        if one["verdict"] != UNTESTED
    ]
    return threshold_chart("Intervals against the thresholds of the rules", drawn) if drawn else ""


def claims(root: Path) -> Chapter:
    """Every claim of the ledger: interval against threshold, verdict, and the commits of its rule and figures."""
    every = judged(root)
    if not every:
        return Chapter("claims", "Claims", "<p>no experiment has run</p>")
    at = HEAD.index("verdict")
    tested = [[*row[:at], _verdict(row[at]), *row[at + 1 :]] for row in rows(root)]
    counts = ", ".join(f"{sum(one['verdict'] == word for one in every)} {word}" for word in VERDICTS)
    body = f"<p><b>{len(every)} claims: {counts}.</b></p>{_against(every)}{table(HEAD, tested)}"
    if others := untested(root):
        body += f"<h3>Not tested here</h3>{table(UNTESTED_HEAD, others)}"
    charts = "".join(_chart(chart) for _, chart in records(root, "chart"))
    return Chapter("claims", "Claims", f'{body}<div class="grid2">{charts}</div>', LEAD)


def main() -> None:
    for path, text in ((Path("README.md"), summary(Path())), (Path("docs/experiments/README.md"), markdown(Path()))):
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        with write_atomic(path) as tmp:
            tmp.write_text(f"{before}{BEGIN}{text}{END}{rest.split(END)[1]}", encoding="utf-8")
        print(f"{path}: {len(judged(Path()))} claims")


if __name__ == "__main__":
    main()
