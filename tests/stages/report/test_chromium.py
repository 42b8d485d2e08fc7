"""The page in a real browser: nothing from a network, no sideways scrolling on a phone, all of it by keyboard."""

import json
import re
import shutil
import subprocess

import pytest
from websockets.sync.client import connect

from stages.report.__main__ import build
from tests.stages.report.made import checkout

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (k2 doctor says so)")


class Tab:
    """One tab over the DevTools protocol."""

    def __init__(self, socket):
        self.socket, self.sent, self.events = socket, 0, []

    def call(self, method, **params):
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=30))
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, name, code, text=""):
        common = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def open(self, url, width):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        for _ in range(200):
            if self.value("document.readyState") == "complete" and self.value("location.href") == url:
                return
        raise AssertionError("the page did not load")


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    profile = tmp_path_factory.mktemp("profile")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    browser = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        for line in browser.stderr:
            if found := re.search(r"ws://(127\.0\.0\.1:\d+)/devtools", line):
                break
        with connect(f"ws://{found[1]}/devtools/browser/{line.strip().rsplit('/', 1)[1]}", max_size=None) as root:
            target = Tab(root).call("Target.createTarget", url="about:blank")["targetId"]
            with connect(f"ws://{found[1]}/devtools/page/{target}", max_size=None) as socket:
                one = Tab(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    one.call(f"{domain}.enable")
                yield one
    finally:
        browser.terminate()
        browser.wait(timeout=20)


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
    assert not [e for e in tab.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
