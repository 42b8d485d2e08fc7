"""The page holds what the stages left, says what has not run, and lets no text out of its place."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from stages.report.__main__ import build
from stages.report.charts import Interval, Series, interval_chart, line_chart
from stages.report.claims import BEGIN, END, VERDICTS, markdown, rows, summary
from stages.report.graph import SECTIONS, dependencies, duration
from tests.stages.report.made import FORGED, REPO, checkout

VOID = {"meta", "br", "link", "img", "hr"}


class Nesting(HTMLParser):
    """Every element that is opened is closed in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a" and (found.get("href") or "").startswith("#"):
            self.targets.append(found["href"][1:])
        assert not any(name in found for name in ("src", "srcset", "onload", "onclick"))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_shows_what_every_stage_left(tmp_path):
    page = build(checkout(tmp_path), {"seed": "0"})
    nesting = Nesting()
    nesting.feed(page)
    assert not nesting.open and len(nesting.ids) == len(set(nesting.ids)) == 13
    assert set(nesting.targets) == set(nesting.ids)  # every link leads somewhere, every section is linked
    assert "not run</p>" not in page and "https://" not in page
    assert FORGED not in page and "&lt;script&gt;" in page
    for text in (
        "4 min 51 s",  # the time of pretrain in the graph
        "left out: overlaps humaneval",
        "a new name: Bob",
        "0.0% (0.0% – 14.0%)",
        "+50 points",  # of RL's held problems
        "aime-2025 (package)",
        "0.0% – 39.0%",
        "49.5%",  # K2-Instruct's published AIME 2025
        "not run</td>",  # gpqa_diamond, whose samples all failed
        'class="chip yes">reproduces',
    ):
        assert text in page, text


def test_what_has_not_run_says_so(tmp_path):
    (tmp_path / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    page = build(tmp_path, {})
    assert page.count("<p>not run</p>") == 9 and "no experiment has run" in page and "nothing has run" in page


def test_the_graph_of_the_pipeline_is_without_shortcuts():
    stages = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
    needs = dependencies(stages)
    assert needs["inputs"] == set()
    assert needs["corpus"] == needs["tools"] == {"inputs"}
    assert needs["rl"] == {"sft"} and needs["report"] == {"evaluate"}
    assert SECTIONS.keys() == stages.keys()


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.21, "4.2 s"), (58.4, "58 s"), (291.0, "4 min 51 s"), (119.7, "2 min 00 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_charts_stay_inside_and_refuse_what_they_cannot_show():
    rows = [Interval("a", 0.0, 0.2, 0.4, [("ref", 0.9)]), Interval("b", 0.1, 0.1, 0.1)]
    for figure in (interval_chart("t <", rows, "%"), line_chart("t", [Series("s", [1.0], [5.0])], "x", "y")):
        svg = ET.fromstring(figure).find("svg")
        width, height = map(float, svg.get("viewBox").split()[2:])
        for mark in svg.iter("circle"):
            assert 0 <= float(mark.get("cx")) <= width and 0 <= float(mark.get("cy")) <= height
    with pytest.raises(ValueError, match=r"b: 2.0 is outside 0.0 to 1.0"):
        interval_chart("t", [Interval("b", 0.0, 2.0, 1.0)], "%")
    with pytest.raises(ValueError, match="7 series, but 6 colours"):
        line_chart("t", [Series(str(i), [0.0, 1.0], [0.0, 1.0]) for i in range(7)], "x", "y")
    with pytest.raises(ValueError, match="no points"):
        line_chart("t", [Series("s", [], [])], "x", "y")


def test_the_claims_of_the_readmes_are_those_of_the_experiments():
    for page, text in ((REPO / "README.md", summary(REPO)), (REPO / "docs/experiments/README.md", markdown(REPO))):
        assert page.read_text().split(BEGIN)[1].split(END)[0] == text  # else: python -m stages.report.claims
    assert len(rows(REPO)) > 5 and all(row[4] in VERDICTS for row in rows(REPO))
    assert all(re.search(r"[a-z]", row[3].partition(" to ")[2]) for row in rows(REPO)), "an interval has a unit"


def test_every_colour_of_a_series_is_in_the_style_sheet():
    style = (REPO / "stages/report/style.css").read_text()
    for number in range(6):
        for kind in (".line", ".dot", ".legend "):
            assert f"{kind}.s{number}" in style.replace("\n", "")
    assert Path(REPO / "stages/report/style.css").stat().st_size < 8000
