"""The page holds what the stages left, says what has not run, and lets no text out of its place."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from stages.harness.errors import InputError
from stages.harness.tables import REPHRASED, SAMPLES, TOOLS, TRAJECTORIES, write_table
from stages.report.__main__ import build
from stages.report.charts import Against, Interval, Series, interval_chart, line_chart, threshold_chart
from stages.report.claims import BEGIN, END, HEAD, UNTESTED, VERDICTS, claims, markdown, rows, summary, untested
from stages.report.graph import SECTIONS, dependencies, duration
from stages.report.samples import samples_page, write_pages
from tests.stages.report.made import FORGED, REPO, checkout, filled

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
    assert not nesting.open and len(nesting.ids) == len(set(nesting.ids)) == 16
    assert set(nesting.targets) == set(nesting.ids)  # every link leads somewhere, every section is linked
    assert "not run</p>" not in page and page.count("not run</td>") == 1 and "https://" not in page
    assert FORGED not in page and "&lt;script&gt;" in page
    for text in (
        "4 min 51 s",  # the time of pretrain in the graph
        "12 held; 64% of 118 bugs proven",
        "left out: overlaps humaneval",
        "a new name: Bob",
        "0.0% (0.0% – 14.0%)",
        "+0.0500 (+0.0100 – +0.0900)",  # held-out text after RL
        "+50 points",  # of RL's held problems
        "Ten sampled answers of the first iteration",
        "Ten sampled answers of the last iteration",
        "Loss on what is held out",  # while SFT ran
        "aime-2025 (package)",
        "0.0% – 39.0%",
        "49.5%",  # K2-Instruct's published AIME 2025
        "not run</td>",  # gpqa_diamond, whose samples all failed
        '<a href="benchmarks/aime_2025.html">',
        ">corpus 10.0%<",  # the step that read items of it
        ">61.5<",  # tokens per answer
        "+25.0 points",  # repairs in one answer less an agent's
        "after INT4 QAT less base",
        'class="chip no">worse',
        "Regressions of a stage against the one before: 1.",
        ">1.4%<",  # of the small model's published GSM8K
        'class="chip yes">reproduces',
    ):
        assert text in page, text
    assert "in both orders in 10% of 10 planted pairs" in page and "not settled: there are no ratings" in page


def test_ten_answers_of_either_end_are_drawn_by_their_names(tmp_path):
    page = build(checkout(tmp_path), {"seed": "0"})
    shown = [int(number) for number in re.findall(r"<td>answer (\d+) ", page)]
    assert len(shown) == 20 and all(number < 20 for number in shown[:10]) and all(number >= 40 for number in shown[10:])
    assert shown[:10] != list(range(10))
    assert page == build(tmp_path, {"seed": "0"})


def test_each_benchmark_has_a_page_with_ten_samples_by_seed(tmp_path):
    root = checkout(tmp_path)
    hidden = filled(SAMPLES, benchmark="gpqa_diamond", task_id="q", prompt="sha256:0a1b", expected='{"letter": "B"}')
    write_table(root / "data/samples/gpqa_diamond.parquet", [hidden], SAMPLES)
    pages = {}
    for seed in (0, 0, 1):
        folder = tmp_path / "pages"
        folder.mkdir(exist_ok=True)
        assert write_pages(root, folder, seed) == 2
        text = (folder / "aime_2025.html").read_text()
        assert pages.setdefault(seed, text) == text
        nesting = Nesting()
        nesting.feed(text)
        assert not nesting.open and FORGED not in text and "https://" not in text
    drawn = {seed: re.findall(r"item (\d+)", text) for seed, text in pages.items()}
    assert len(set(drawn[0])) == len(drawn[0]) == 10 and drawn[0] != drawn[1]
    assert "10 of 30 samples" in pages[0] and "the text stays in its package" not in pages[0]
    assert "sha256:0a1b\n(the text stays in its package)" in (tmp_path / "pages/gpqa_diamond.html").read_text()


@pytest.mark.parametrize(
    ("score", "word"), [(1.0, 'yes">right'), (0.0, 'no">wrong'), (0.5, 'no">0.50'), (None, 'open">not judged')]
)
def test_a_sample_shows_its_verdict(tmp_path, score, word):
    write_table(tmp_path / "a.parquet", [filled(SAMPLES, score=score, finish_reason="length")], SAMPLES)
    page = samples_page(tmp_path / "a.parquet", 0)
    assert f'class="chip {word}<' in page and "cut at the limit" in page


def test_what_has_not_run_says_so(tmp_path):
    (tmp_path / "dvc.yaml").write_text((REPO / "dvc.yaml").read_text())
    page = build(tmp_path, {})
    assert page.count("<p>not run</p>") == 11 and "no experiment has run" in page and "nothing has run" in page


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
    seven = line_chart("t", [Series(str(i), [0.0, 1.0], [0.0, 1.0]) for i in range(7)], "x", "y")
    assert seven.count('class="line s0"') == 2
    with pytest.raises(ValueError, match="no points"):
        line_chart("t", [Series("s", [], [])], "x", "y")


def test_the_claims_of_the_readmes_are_those_of_the_experiments():
    for page, text in ((REPO / "README.md", summary(REPO)), (REPO / "docs/experiments/README.md", markdown(REPO))):
        assert page.read_text().split(BEGIN)[1].split(END)[0] == text  # else: python -m stages.report.claims
    found = [row[HEAD.index("verdict")].partition(" (")[0] for row in rows(REPO)]
    assert len(found) > 5 and set(found) <= set(VERDICTS) - {UNTESTED}
    spans = [row[HEAD.index("95 % interval")] for row in rows(REPO)]
    assert all(re.search(r"[a-z]", span.partition(" to ")[2]) for span in spans), "an interval has a unit"
    assert len(found) + len(untested(REPO)) >= 20


def test_a_claim_has_its_interval_beside_the_threshold_and_both_commits(tmp_path):
    body = claims(checkout(tmp_path)).body
    assert "3 claims: 1 reproduces, 1 not settled, 0 does not reproduce, 1 not tested here." in body
    first, second, *_ = re.findall(r"<tr><td>.*?</tr>", body)
    for shown in ("§2.1", "3 against 4", "-2 to -0.5 nats", "below 0", "smoke, 3", "aaa111", "bbb222"):
        assert f">{shown}<" in first, shown
    assert 'class="chip yes">reproduces' in first and FORGED not in body
    assert 'class="chip open">not settled</span> <span class="soft">rule after the run</span>' in second
    other = body.partition("Not tested here</h3>")[2]
    assert all(f">{shown}<" in other for shown in ("it scales", "a cluster", "ccc333", "below 0 nats"))


def test_an_interval_lies_right_of_the_line_where_it_is_as_claimed():
    def places(**given):
        row = Against("c", **({"low": 1.0, "value": 2.0, "high": 3.0, "threshold": 0.0, "unit": "u"} | given))
        svg = ET.fromstring(threshold_chart("t <", [row])).find("svg")
        line, rect = svg.find("line"), svg.find("rect")
        assert 0 < float(line.get("x1")) < 720 and 0 < float(line.get("x2")) < 720
        at = float(rect.get("x")) + 1
        return sorted(round(float(line.get(end)) - at) for end in ("x1", "x2"))

    assert places(direction="above") == [43, 130] and places(direction="below") == [-130, -43]
    assert places(direction="above", threshold=1.0) == [0, 130], "touching"
    assert places(direction="above", threshold=2.0) == [-130, 130]
    assert places(direction="below", low=2.0, high=2.0, threshold=2.0) == [0, 0]
    with pytest.raises(ValueError, match=r"c: 2.0 is outside 3.0 to 3.0"):
        places(direction="above", low=3.0)
    with pytest.raises(ValueError, match="no rows"):
        threshold_chart("t", [])


def test_every_colour_of_a_series_is_in_the_style_sheet():
    style = (REPO / "stages/report/style.css").read_text()
    for number in range(6):
        for kind in (".line", ".dot", ".legend "):
            assert f"{kind}.s{number}" in style.replace("\n", "")
    assert Path(REPO / "stages/report/style.css").stat().st_size < 8000


def test_a_loss_that_ran_away_has_no_point_and_is_counted():
    nan, inf = float("nan"), float("inf")
    chart = line_chart(
        "loss", [Series("a", [0.0, 1.0, 2.0], [3.0, nan, inf]), Series("b", [0.0], [nan])], "step", "nats"
    )
    assert chart.count("<circle") == 1 and "3 points are not finite" in chart and "nan" not in chart
    assert "<svg" not in line_chart("loss", [Series("a", [0.0], [nan])], "step", "nats")
    assert "nothing is finite" in interval_chart("t", [Interval("a", nan, nan, nan)], "%")


ODD = [
    {"role": "critic", "content": FORGED},
    {
        "role": "assistant",
        "content": ["parts"],
        "tool_calls": [{"function": None}, {"id": 7, "function": {"name": "f"}}],
    },
    {"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": FORGED, "arguments": "[" * 20_000}}]},
    {"role": "tool", "content": '{"number": ' + "1" * 5000 + "}"},
    {"role": "tool", "tool_call_id": "x", "content": "a" * 400_000},
    {"content": None},
]


def test_odd_trajectories_tools_and_curves_are_shown(tmp_path):
    root = checkout(tmp_path)
    row = filled(TRAJECTORIES, traj_id="t1", messages=json.dumps(ODD), kept=True, verdict=FORGED)
    row |= {"tools": json.dumps([{"function": {"name": "f", "description": None}}]), "patch": "+" * 400_000}
    write_table(root / "data/trajectories.parquet", [row], TRAJECTORIES)
    write_table(root / "data/rephrased.parquet", [filled(REPHRASED, doc_id="gone", style="faq")], REPHRASED)
    synthetic = {"origin": "synthetic", "domain": FORGED, "application": FORGED}
    write_table(root / "data/tools.parquet", [filled(TOOLS, **synthetic), filled(TOOLS, origin="real")], TOOLS)
    (root / "plots/pretrain.csv").write_text("step,tokens,loss,lr\n1,10,nan,0.1\n2,20,inf,0.1\n3,30,5.0,0.1\n")
    page = build(root, {})
    nesting = Nesting()
    nesting.feed(page)
    assert not nesting.open and FORGED not in page and len(page) < 300_000
    assert "2 points are not finite" in page and "400,000 characters" in page


@pytest.mark.parametrize("rows", [[], [filled(TOOLS, origin="real", source="mcp")]])
def test_tools_without_synthetic_ones_are_shown(tmp_path, rows):
    root = checkout(tmp_path)
    write_table(root / "data/tools.parquet", rows, TOOLS)
    assert "Domains and applications" not in build(root, {})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics/scores.json", b"{torn"),
        ("metrics/qat.json", b"[]"),
        ("metrics/rl.json", b"\xff"),
        ("plots/sft.csv", b"step,loss\n0,much\n"),
        ("plots/rl.csv", b"iteration,reward\n0,much\n"),
        ("plots/pretrain.csv", b"step,loss\n0,1.0\n"),
    ],
)
def test_a_broken_metrics_file_is_one_line(tmp_path, name, content):
    root = checkout(tmp_path)
    (root / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        build(root, {})
    assert str(caught.value).startswith(f"{root / name}: not ") and "\n" not in str(caught.value)
