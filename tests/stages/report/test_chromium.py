"""The page in a real browser: nothing from a network, no sideways scrolling on a phone, all of it by keyboard."""

import pytest

from stages.report.__main__ import build
from tests.browser import needs_chromium, open_tab
from tests.stages.report.made import checkout

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with open_tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path = folder / "index.html"
    path.write_text(build(checkout(folder / "checkout"), {"params.yaml": "0" * 64}))
    return path.as_uri()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_sideways_scrolling(tab, url, width):
    tab.open(url, width)
    assert tab.value("document.documentElement.scrollWidth") <= width
    small = (
        "[...document.querySelectorAll('p,li,td,summary')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 12)"
    )
    assert tab.value(f"{small}.length") == 0


def test_it_is_read_by_keyboard_and_asks_nobody(tab, url):
    tab.events.clear()
    tab.open(url, 1280)
    reached = []
    for _ in range(60):
        tab.key("Tab", 9)
        reached.append(
            tab.value("document.activeElement.tagName + ' ' + (document.activeElement.className || '')").lower()
        )
        if reached[-1].startswith("summary"):
            break
    assert reached[0] == "a skip" and reached[-1].startswith("summary")
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert not tab.value("document.activeElement.parentElement.open")
    tab.key("Enter", 13, "\r")
    assert tab.value("document.activeElement.parentElement.open")
    assert tab.value("document.title") == "K2 pipeline report"  # the forged script did not run
    urls = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    assert urls == [url]
    assert not tab.problems()
