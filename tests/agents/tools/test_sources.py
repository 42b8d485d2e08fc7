"""Real tools from packages, and tools of real MCP servers over both transports."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agents.tools.harvest import McpToolbox, ServerError, harvest
from agents.tools.real import aws, brief, google, sample

pytestmark = pytest.mark.slow
TIME_SERVER = [sys.executable, "-m", "mcp_server_time"]

SERVER = """
import sys
from mcp.server import MCPServer
server = MCPServer("shop")
@server.tool()
def price(item: str, count: int = 1) -> int:
    "The price of some items."
    return count * len(item)
server.run(transport="streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
"""


def test_three_thousand_real_tools_with_valid_schemas_from_many_services() -> None:
    tools = sample(3200)
    assert len(tools) == 3200
    assert len({tool.name for tool in tools}) == 3200
    assert {tool.source for tool in tools} == {"botocore", "google-api-python-client"}
    assert len({tool.service for tool in tools}) > 500
    for tool in tools[::7]:
        jsonschema.Draft202012Validator.check_schema(tool.parameters)
        jsonschema.Draft202012Validator.check_schema(tool.returns)
        assert tool.description


def _descriptions(schema: dict[str, Any]) -> Iterator[str]:
    if "description" in schema:
        yield schema["description"]
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        yield from _descriptions(inner)


def test_what_goes_in_is_described_in_a_sentence_and_what_comes_out_is_only_typed() -> None:
    tools = {tool.name: tool for tool in (*aws(), *google())}
    given = tools["s3_get_object"].parameters["properties"]
    assert given["Bucket"] == {"type": "string", "description": "The bucket name containing the object."}
    assert given["SSECustomerAlgorithm"]["description"].endswith("(for example, AES256).")
    given = tools["pubsub_projects_topics_list"].parameters["properties"]
    assert given["pageSize"] == {"type": "integer", "description": "Maximum number of topics to return."}
    assert given["project"]["description"] == "The name of the cloud project that topics belong to."
    attendee = tools["calendar_events_insert"].parameters["properties"]["body"]["properties"]["attendees"]
    assert attendee["items"]["properties"]["additionalGuests"]["description"] == "Number of additional guests."
    for tool in list(tools.values())[::50]:
        assert not list(_descriptions(tool.returns))
        for text in _descriptions(tool.parameters):
            assert 0 < len(text) <= 120
            assert text == " ".join(text.split())
            assert not text.lower().startswith(("required.", "optional.", "output only.", "[output only]"))


def test_a_description_is_cut_at_a_word() -> None:
    assert brief("Optional. Immutable. The size, e.g. 5 GB. Then more.") == "The size, e.g. 5 GB."
    assert brief("(Required) Is it?") == "Is it?"
    assert brief("Required if there are several.") == "Required if there are several."
    assert brief("word " * 23 + "and, on the whole, too much") == ("word " * 23).strip() + " and"
    assert brief("Output only.") == ""


def test_a_packaged_server_over_stdio_is_harvested_and_used() -> None:
    found = {tool.name: tool for tool in harvest(TIME_SERVER)}
    assert {"get_current_time", "convert_time"} <= set(found)
    assert "timezone" in found["get_current_time"].parameters["properties"]
    with McpToolbox(TIME_SERVER) as toolbox:
        text, error = toolbox("get_current_time", {"timezone": "Europe/Oslo"})
        assert not error
        assert "Europe/Oslo" in text
        text, error = toolbox("get_current_time", {"timezone": "Moon/Base"})
        assert error


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/mcp"
    process.terminate()
    process.wait(10)


def test_a_server_over_http_is_harvested_and_used(http_server: str) -> None:
    (tool,) = harvest(http_server)
    assert (tool.name, tool.description) == ("price", "The price of some items.")
    assert tool.parameters["required"] == ["item"]
    with McpToolbox(http_server) as toolbox:
        assert toolbox("price", {"item": "bread", "count": 3}) == ("15", False)


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ServerError, match="MCP server no-such-command"):
        harvest(["no-such-command"])
