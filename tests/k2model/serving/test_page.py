"""The page's routes, and who may ask them."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from k2model.serving.page import BODY_BYTES, RESULT_CHARACTERS, OfferedTool, add_page

HOSTS = frozenset({"127.0.0.1", "localhost"})
DECLARATION = {"type": "function", "function": {"name": "echo", "description": "", "parameters": {"type": "object"}}}


class Echo:
    """Returns its arguments, and keeps the last ones of each conversation."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}

    def offered(self) -> list[OfferedTool]:
        return [OfferedTool("test", DECLARATION, True)]

    def call(self, conversation: str, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        self.states[conversation] = dict(arguments)
        return str(arguments.get("text", "")), "text" not in arguments

    def state(self, conversation: str) -> Mapping[str, Any] | None:
        return self.states.get(conversation)


def ask(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, path, **options)

    return asyncio.run(send())


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def app(echo: Echo) -> FastAPI:
    app = FastAPI()
    add_page(app, echo, HOSTS)
    return app


def _call(app: FastAPI, **body: Any) -> httpx.Response:
    return ask(app, "POST", "/page/calls", json={"conversation": "a", "name": "echo", "arguments": "{}"} | body)


def test_a_server_serves_the_page_and_allows_its_own_script_alone(url: str) -> None:
    answer = httpx.get(f"{url}/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//", answer.text)


def test_a_plain_server_has_no_tools(url: str) -> None:
    assert httpx.get(f"{url}/page/tools").json() == {"tools": [], "state": None}
    answer = httpx.post(f"{url}/page/calls", json={"conversation": "a", "name": "echo", "arguments": "{}"})
    assert answer.json() == {"content": '{"error": "not run: no tool \'echo\'"}', "error": True, "state": None}


def test_a_plain_server_answers_its_own_pages_under_any_name_and_no_other(url: str) -> None:
    host = "box.example:8000"
    for origin, status in ((f"http://{host}", 200), ("http://other.example", 403), ("null", 403)):
        answer = httpx.get(f"{url}/v1/models", headers={"Host": host, "Origin": origin})
        assert answer.status_code == status


def test_calls_go_to_the_tools_and_states_are_apart(app: FastAPI) -> None:
    assert ask(app, "GET", "/page/tools?conversation=a").json() == {
        "tools": [{"source": "test", "declaration": DECLARATION, "on": True}],
        "state": None,
    }
    done = _call(app, arguments='{"text": "hé\\ud800"}').json()
    assert done == {"content": "hé\ufffd", "error": False, "state": {"text": "hé\ufffd"}}
    assert _call(app, arguments="").json()["error"]
    assert ask(app, "GET", "/page/tools?conversation=a").json()["state"] == {}
    assert ask(app, "GET", "/page/tools?conversation=b").json()["state"] is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"name": "rm"}, "not run: no tool 'rm'"),
        ({"arguments": "{'a': 1}"}, "not run: the arguments: not JSON"),
        ({"arguments": "[1]"}, "not run: the arguments: arguments are list, not an object"),
        ({"arguments": "[" * 5000}, "not run: the arguments: nested deeper than 128"),
        ({"arguments": '{"n": ' + "9" * 5000 + "}"}, "not run: the arguments: a number of 5000 digits"),
    ],
)
def test_what_no_tool_can_take_reaches_none(app: FastAPI, echo: Echo, body: dict[str, str], reason: str) -> None:
    answer = _call(app, **body)
    assert answer.status_code == 200 and answer.json()["error"]
    assert json.loads(answer.json()["content"])["error"].startswith(reason)
    assert echo.states == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"nothing", "the body of the request is not JSON"),
        (b"{}", "conversation: Field required"),
        (b'{"conversation": "a", "name": "echo", "arguments": {}}', "arguments: Input should be a valid string"),
        (b'{"conversation": "' + b"a" * 65 + b'", "name": "echo", "arguments": ""}', "conversation: String should"),
        (b'{"conversation": "a", "name": "echo", "arguments": "", "x": 1}', "x: "),
        (b" " * (BODY_BYTES + 1), f"the body of the request exceeds {BODY_BYTES} bytes"),
    ],
)
def test_a_body_that_is_no_call_is_refused(app: FastAPI, content: bytes, reason: str) -> None:
    answer = ask(app, "POST", "/page/calls", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(reason)


def test_a_long_result_is_cut(app: FastAPI) -> None:
    text = _call(app, arguments=json.dumps({"text": "x" * (RESULT_CHARACTERS + 7)})).json()["content"]
    assert text == "x" * RESULT_CHARACTERS + "[7 characters cut]"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "LOCALHOST:9", "Origin": "http://localhost:9"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example:8000"}, 403),  # a foreign name with this machine's address
        ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example:8000"}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),  # another program on this machine
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
    ],
)
def test_only_the_servers_own_page_may_ask(app: FastAPI, echo: Echo, headers: dict[str, str], status: int) -> None:
    for method, path in (("GET", "/"), ("GET", "/page/tools"), ("POST", "/page/calls")):
        body = {"conversation": "a", "name": "echo", "arguments": "{}"} if method == "POST" else None
        answer = ask(app, method, path, json=body, headers=headers)
        assert answer.status_code == status
    assert bool(echo.states) == (status == 200)
