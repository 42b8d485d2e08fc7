"""`k2 chat` as a process: a checkpoint of random weights, a world and a real MCP server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from agents.playground import __main__ as playground
from k2model.chat.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from tests.agents.playground.scripted import leave_after_a_piece, wait_until_left
from tests.conftest import ROOT

CLOCK = f"{sys.executable} -m mcp_server_time"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat") / "tiny"
    save_checkpoint(K2Model(K2Config.preset("smoke", vocab_size=320, max_position_embeddings=2048), seed=2), path)
    save_tokenizer(train_tokenizer(["The cat sat on the mat. " * 20], 280), path, chat_template="", max_length=2048)
    (path / "manifest.json").unlink()  # it was written before the tokenizer was added
    return path


@pytest.fixture
def started(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """(process, URL) of `k2 chat` over random weights with a world and an MCP server."""
    options = [str(folder), "--world", "rail_tickets", "--mcp", CLOCK, "--threads", "1", "--port", "0"]
    command = [sys.executable, "-m", "flows.cli", "chat", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("talk with tiny at http://127.0.0.1:"), line
    yield process, line.split()[-1]
    process.kill()
    process.wait()


def test_one_process_serves_model_page_and_tools_and_ctrl_c_ends_all(
    started: tuple["subprocess.Popen[str]", str], folder: Path
) -> None:
    process, url = started
    assert "<title>k2 chat</title>" in httpx.get(f"{url}/").text
    tools = httpx.get(f"{url}/page/tools").json()["tools"]
    assert {tool["source"] for tool in tools} == {"world: rail_tickets", f"MCP: {CLOCK}"}
    body: dict[str, Any] = {"conversation": "a", "name": "convert_time"}
    body["arguments"] = json.dumps({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})
    done = httpx.post(f"{url}/page/calls", json=body).json()
    assert not done["error"] and "21:00:00+09:00" in done["content"]
    assert httpx.post(f"{url}/page/calls", json=body, headers={"Host": "evil.example"}).status_code == 403
    never = {str(end): -100 for end in load_tokenizer(folder).ends}
    leave_after_a_piece(url, "tiny", temperature=100.0, logit_bias=never)
    wait_until_left(url, 1)
    (clock,) = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert not clock.is_running()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "checkpoint: nowhere is no folder"),
        (("http://127.0.0.1:9/v1",), "http://127.0.0.1:9/v1: an endpoint needs the name of its model, as URL#model"),
        (("http://#x",), "http://: no URL"),
        ((".", "--world", "mars"), "no world 'mars'; there are answering_service, "),
        ((".", "--mcp", ""), "--mcp: an empty command"),
        ((".", "--mcp", "a 'b"), '--mcp: "a \'b": No closing quotation'),
        ((".", "--mcp", "no-such-command"), "MCP server no-such-command: [Errno 2] No such file"),
        ((".", "--mcp", "false"), "MCP server false: Connection closed\n"),
        (
            (".", "--mcp", "http://me:password1@127.0.0.1:9/mcp?key=abcdefgh"),
            "MCP server http://127.0.0.1:9/mcp: All connection attempts failed\n",
        ),
        ((".", "--port", "70000"), "--port: 70000 is not 0 to 65535"),
        ((".",), "config.json: not found"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["k2 chat", *words, *(() if "--port" in words else ("--port", "0"))])
    assert playground.main() == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err and told.err.count("\n") == 1
