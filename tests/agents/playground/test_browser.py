"""The page in a real browser, before a real server whose model follows a script."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agents.playground.tools import McpSource, Shelf, WorldSource, find_world
from agents.tools.harvest import McpToolbox
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from tests.agents.playground import picture
from tests.agents.playground.scripted import counted, scripted_server, wait_until_left
from tests.browser import Tab, needs_chromium, open_tab

pytestmark = needs_chromium
FORGED = "<img src=x onerror=\"document.title='forged'\"><script>document.title='forged'</script>"
WORDS = " ".join(f"word{number}" for number in range(60))
CONVERT = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
DESK = find_world("rail_tickets")
UPDATE = "refund_ticket"
TICKETS = WorldSource(DESK).state("")["ticket"]
FIRST, RECORD = next((key, row) for key, row in TICKETS.items() if row["status"] == "booked")
REFUND = round(0.9 * RECORD["paid"], 2)
LAST = "[...document.querySelectorAll('#log article')].at(-1)"
IDLE = "document.getElementById('send').textContent === 'Send'"


def call(name: str, arguments: object, number: int) -> str:
    return (
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{name}:{number}"
        f"<|tool_call_argument_begin|>{json.dumps(arguments)}<|tool_call_end|><|tool_calls_section_end|>"
    )


def script(prompt: str) -> str:
    """What the model writes after a prompt."""
    asked, _, rest = prompt.rsplit("<|im_user|>user<|im_middle|>", 1)[1].partition("<|im_end|>")
    told = rest.split("## Return of ")[1:]
    calls = prompt.count("<|tool_call_begin|>")
    turns = {
        "think": f"<think>{WORDS}</think>The answer. {WORDS}",
        "forever": "on and " * 4000,
        "forge": f"<think>{FORGED}</think>{FORGED}{call(UPDATE, {'ticket_id': FORGED}, calls)}",
        "change": f"<think>I take it back.</think>{call(UPDATE, {'ticket_id': FIRST}, calls)}",
        "time": call("convert_time", CONVERT, calls),
        "loop": call("convert_time", CONVERT, calls),
        "long": f"{WORDS} {'x' * 600}",
    }
    if told and asked != "loop":
        return f"I was told {told[-1].split('<|im_end|>')[0]}"
    return turns.get(asked, f"You said {asked}; system {prompt.count('Be brief.')}; calls {calls}")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(["word on and ticket status"] * 20, 290), folder, chat_template="", max_length=1024)
    with McpToolbox([sys.executable, "-m", "mcp_server_time"]) as clock:
        shelf = Shelf([WorldSource(DESK), McpSource(clock)])
        with scripted_server(load_tokenizer(folder), script, shelf) as served:
            yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    rule = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
    with open_tab(tmp_path_factory.mktemp("profile"), rule) as opened:
        yield opened


@pytest.fixture
def tab(browser: Tab, url: str) -> Iterator[Tab]:
    """The page, fresh."""
    browser.open(f"{url}/", 1280)
    browser.value("sessionStorage.clear(), removeEventListener('pagehide', save)")
    browser.open("about:blank", 1280)
    browser.events.clear()
    browser.open(f"{url}/", 1280)
    browser.wait("document.body.dataset.ready")
    yield browser
    assert not [event for event in browser.problems() if "status of 400" not in json.dumps(event)]


def say(tab: Tab, text: str, until: str = IDLE) -> None:
    tab.value("document.getElementById('input').focus()")
    tab.type(text)
    tab.key("Enter", 13, "\r")
    tab.wait(until)


def test_text_streams_and_thinking_is_folded(tab: Tab) -> None:
    say(tab, "think", f"{LAST}.querySelector('.thinking .text')?.textContent.includes('word5')")
    early = tab.value(f"{LAST}.innerText")
    assert "Thinking…" in early and "word" not in early and "The answer" not in early
    tab.wait(f"{LAST}.innerText.includes('The answer. word0')")
    assert not tab.value(f"{LAST}.innerText.includes('word59')")  # there is more to come
    tab.wait(IDLE)
    assert tab.value(f"{LAST}.innerText").split("\n") == ["Thoughts", f"The answer. {WORDS}"]
    tab.value(f"{LAST}.querySelector('summary').focus()")
    tab.key("Enter", 13, "\r")
    assert tab.value(f"{LAST}.innerText").split("\n") == ["Thoughts", WORDS, f"The answer. {WORDS}"]


def test_a_call_changes_the_world_of_this_conversation_alone(tab: Tab) -> None:
    state = "JSON.parse(document.getElementById('state').textContent)"
    record = f"{state}.ticket.{FIRST}"
    assert tab.value(record) == RECORD
    say(tab, "change")
    card = "document.querySelector('#log .call')"
    assert tab.value(f"{card}.querySelector('h2').textContent") == UPDATE
    assert json.loads(tab.value(f"{card}.querySelector('.arguments').textContent")) == {"ticket_id": FIRST}
    told = json.loads(tab.value(f"{card}.querySelector('.result').textContent"))
    assert (told["id"], told["status"], told["refund"]) == (FIRST, "refunded", REFUND)
    assert tab.value(f"{LAST}.innerText").startswith(f"I was told functions.{UPDATE}:0")
    assert tab.value(record) == RECORD | {"status": "refunded"}
    tab.value("document.getElementById('new').click()")
    tab.wait(f"{record}.status === '{RECORD['status']}'")
    assert tab.value("document.getElementById('log').childElementCount") == 0


def test_a_tool_of_an_mcp_server_is_called(tab: Tab) -> None:
    say(tab, "time")
    told = json.loads(tab.value("document.querySelector('#log .call .result').textContent"))
    assert told["target"]["datetime"].endswith("T21:00:00+09:00")
    assert "21:00:00+09:00" in tab.value(f"{LAST}.innerText")


def test_a_user_who_wants_to_be_asked_decides_about_each_call(tab: Tab) -> None:
    tab.value("document.getElementById('ask').click()")
    say(tab, "time", "document.querySelectorAll('.call button').length === 2")
    assert tab.value("document.activeElement.textContent") == "Run"
    tab.key("Tab", 9)
    tab.key("Enter", 13, "\r")  # Skip
    tab.wait(IDLE)
    assert "not run: the user said no" in tab.value(f"{LAST}.innerText")
    say(tab, "time", "document.querySelectorAll('.call button').length === 2")
    tab.key("Enter", 13, "\r")
    tab.wait(IDLE)
    assert "21:00:00+09:00" in tab.value(f"{LAST}.innerText")
    say(tab, "time", "document.querySelectorAll('.call button').length === 2")
    tab.key("Escape", 27)
    tab.wait(IDLE)
    shown = tab.value("[...document.querySelectorAll('.result')].map(e => e.textContent.includes('not run'))")
    assert shown == [True, False, True]
    assert tab.value("document.querySelectorAll('.call button').length") == 0


def test_the_stop_button_ends_the_generation_on_the_server(tab: Tab, url: str) -> None:
    before = int(counted(url, 'k2_requests_total{endpoint="chat",status="499"}'))
    say(tab, "forever", f"{LAST}.innerText.includes('on and on')")
    assert counted(url, "k2_active_requests") == 1
    tab.value("document.getElementById('send').click()")
    tab.wait(IDLE)
    wait_until_left(url, before + 1)
    written = tab.value(f"{LAST}.innerText")
    assert written.endswith("stopped") and len(written) < 8_000
    say(tab, "go on")
    assert tab.value(f"{LAST}.innerText") == "You said go on; system 0; calls 0"


def test_escape_stops_between_calls_and_the_conversation_goes_on(tab: Tab) -> None:
    say(tab, "loop", "document.querySelectorAll('#log .result').length > 2")
    tab.key("Escape", 27)
    tab.wait(IDLE)
    say(tab, "go on")  # a call without a result would be refused
    assert tab.value(f"{LAST}.innerText").startswith("You said go on")


def test_nothing_that_was_written_is_read_as_html(tab: Tab) -> None:
    say(tab, "forge")
    tab.wait(f"{LAST}.innerText.includes('I was told')")
    say(tab, FORGED)
    text = tab.value("document.getElementById('log').textContent")
    assert text.count("<img src=x") == 7  # thoughts, answer, arguments, result and its echo, the user's and its echo
    tab.value("new Promise(done => setTimeout(done, 100))")
    assert tab.value("document.querySelectorAll('img, #log script').length") == 0
    assert tab.value("document.title") == "scripted"


def test_a_conversation_and_its_settings_survive_a_reload(tab: Tab, url: str) -> None:
    tab.value("document.getElementById('system').focus()")
    tab.type("Be brief.")
    say(tab, "change")
    say(tab, "forever", f"{LAST}.innerText.includes('on and on')")
    tab.open(f"{url}/?", 1280)
    tab.wait("document.body.dataset.ready")
    shown = tab.value("document.getElementById('log').innerText")
    assert UPDATE in shown and "on and on" in shown and shown.endswith("the page was reloaded")
    assert tab.value("document.getElementById('system').value") == "Be brief."
    assert tab.value(f"JSON.parse(document.getElementById('state').textContent).ticket.{FIRST}.status") == "refunded"
    say(tab, "and now")
    assert tab.value(f"{LAST}.innerText") == "You said and now; system 1; calls 1"


def test_tools_are_ticked_and_only_those_are_declared(tab: Tab) -> None:
    spy = "(path, options) => (options?.body && bodies.push(JSON.parse(options.body)), real(path, options))"
    tab.value(f"window.bodies = [], window.real = fetch, window.fetch = {spy}, 0")
    say(tab, "hello")
    ticked = "document.querySelectorAll('#tools input:checked')"
    assert tab.value(f"{ticked}.length") == 9
    tab.value(f"{ticked}.forEach(box => box.click())")
    say(tab, "hello")
    first, second = tab.value("bodies")
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert UPDATE in names and "convert_time" in names and len(names) == len(set(names)) == 9
    assert "tools" not in second


def test_an_error_is_one_line_and_can_be_tried_again(tab: Tab) -> None:
    tab.value("document.getElementById('limit').focus()")
    tab.type("9999999")
    say(tab, "hello")
    (line,) = tab.value("[...document.querySelectorAll('.error')].map(e => e.textContent)")
    assert line.startswith("max_tokens: a prompt of ") and "\n" not in line
    tab.value("document.getElementById('limit').select()")
    tab.type("12")
    tab.value("document.getElementById('again').click()")
    tab.wait(IDLE)
    assert tab.value(f"{LAST}.innerText").split("\n")[-1] == "cut at the limit of tokens"
    assert tab.value("document.querySelectorAll('.error').length") == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_long_text_moves_nothing(tab: Tab, url: str, width: int) -> None:
    tab.open(f"{url}/?{width}", width)
    tab.wait("document.body.dataset.ready")
    form = "document.getElementById('form').getBoundingClientRect()"
    box = f"JSON.stringify({form})"
    column = "document.querySelector('#log .user').getBoundingClientRect().width"
    before = tab.value(box)
    for _ in range(2):
        wide = tab.value("document.getElementById('log').clientWidth"), tab.value(f"{form}.width")
        assert min(wide) > width * (0.9 if tab.value("document.getElementById('side').hidden") or width < 720 else 0.7)
        tab.value("document.getElementById('settings').click()")
    say(tab, "long", f"{LAST}.innerText.includes('word1')")
    narrow = tab.value(column)
    tab.wait(IDLE)
    assert tab.value(box) == before
    assert tab.value(column) == narrow
    assert tab.value("document.documentElement.scrollWidth") <= width
    log = "document.getElementById('log')"
    assert tab.value(f"{log}.scrollTop + {log}.clientHeight >= {log}.scrollHeight - 1")  # the end is in view


def test_everything_is_reached_by_keyboard(tab: Tab) -> None:
    say(tab, "change")
    reached = set()
    for _ in range(40):
        tab.key("Tab", 9)
        if tab.value("document.activeElement === document.body"):  # beyond the last one
            continue
        reached.add(tab.value("document.activeElement.id || document.activeElement.className"))
        assert tab.value("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {
        "new",
        "settings",
        "log",
        "arguments",
        "result",
        "system",
        "temperature",
        "limit",
        "input",
        "send",
    } <= reached


def test_colours_follow_the_system(tab: Tab) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    for scheme, wanted in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(21, 24, 29)")):
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert tab.value(colour) == wanted


def test_foreign_pages_run_no_tools(browser: Tab, url: str) -> None:
    body = {"conversation": "victim", "name": UPDATE, "arguments": json.dumps({"ticket_id": FIRST})}
    options = {"method": "POST", "mode": "no-cors", "body": json.dumps(body)}
    state = f"{url}/page/tools?conversation=victim"
    browser.open(url.replace("127.0.0.1", "localhost") + "/v1/models", 800)  # another origin, without our policy
    browser.value(f"fetch('{url}/page/calls', {json.dumps(options)}).then(() => 1)")
    assert httpx.get(state).json()["state"]["ticket"][FIRST] == RECORD
    browser.open(url.replace("127.0.0.1", "rebound.example") + "/", 800)  # a foreign name with this machine's address
    assert "'rebound.example' is not a name of this server" in browser.value("document.body.innerText")
    browser.value(f"fetch('/page/calls', {json.dumps(options | {'mode': 'cors'})}).then(() => 1)")
    assert httpx.get(state).json()["state"]["ticket"][FIRST] == RECORD


def test_the_page_asks_nobody_else(tab: Tab, url: str) -> None:
    urls = [e["params"]["request"]["url"] for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    assert {asked.split("?")[0] for asked in urls} == {f"{url}/", f"{url}/v1/models", f"{url}/page/tools"}


def test_the_readmes_picture_is_taken_of_any_model(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chat.png"
    monkeypatch.setattr("sys.argv", ["picture", f"{url}/v1#scripted", str(out), "hello", "--chat=--world guesthouse"])
    picture.main()
    assert "You said hello" in capsys.readouterr().out
    assert out.read_bytes().startswith(b"\x89PNG")
