"""The process: options that cannot work, health and metrics, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from k2model.describe import cache_values
from k2model.errors import CheckpointError, ConfigError
from k2model.formats.checkpoint import load_config
from k2model.inference import cached_model
from k2model.serving import server
from k2model.serving.service import open_service

ROOT = Path(__file__).parents[3]
SECONDS = 9.0  # in which a server ends, on a busy machine
LONG: dict[str, Any] = {"model": "tiny", "prompt": "The cat", "max_tokens": 590, "stop_token_ids": []}


def _metrics(url: str) -> dict[tuple[str, str], float]:
    """(name, endpoint and status) → value."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {
        (s.name, " ".join(filter(None, (s.labels.get("endpoint"), s.labels.get("status"))))): s.value
        for s in samples
        if not s.name.endswith("_bucket")
    }


def _ended(process: "subprocess.Popen[str]", signal_: int) -> float:
    """Seconds from a signal to the end of the process, whose status must be 0."""
    started = time.monotonic()
    process.send_signal(signal_)
    assert process.wait(timeout=60) == 0
    return time.monotonic() - started


def test_a_server_takes_no_more_memory_for_its_cache_than_is_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = 4 * cache_values(load_config(folder))
    for room, rows in ((5 * 100, 5), (1, 1), (10**6, 32)):
        monkeypatch.setattr(cached_model, "CACHE_BYTES", position * room)
        service = open_service(folder, max_length=100)
        assert service.engine.cached.cache_LSTX.shape[1] == rows
        service.close()


def test_health_and_metrics(client: openai.OpenAI, url: str) -> None:
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    before = _metrics(url)
    client.completions.create(model="tiny", prompt=[1, 2, 3], max_tokens=5, extra_body={"stop_token_ids": []})
    for _ in range(2):
        client.completions.create(model="tiny", prompt=[9] * 30, max_tokens=1)
    list(client.completions.create(model="tiny", prompt=[1, 2, 3], max_tokens=5, stream=True))
    httpx.post(f"{url}/v1/completions", json={"model": "tiny", "prompt": "x", "n": 0})
    after = _metrics(url)

    def grown(name: str, labels: str = "") -> float:
        return after[name, labels] - before.get((name, labels), 0.0)

    assert grown("k2_requests_total", "completions 200") == 4
    assert grown("k2_requests_total", "completions 400") == 1
    assert grown("k2_request_seconds_count", "completions") == 5
    assert grown("k2_first_piece_seconds_count", "completions") == 1
    assert grown("k2_prompt_tokens_total") == 66
    assert grown("k2_cached_tokens_total") == 29
    assert 0 < grown("k2_generated_tokens_total") <= 12
    assert after["k2_active_requests", ""] == after["k2_waiting_requests", ""] == 0


def test_models_are_listed_and_retrieved(client: openai.OpenAI) -> None:
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="'other' is not served here"):
        client.models.retrieve("other")


def test_a_caller_who_leaves_is_counted_and_frees_its_slot(url: str) -> None:
    before = _metrics(url).get(("k2_requests_total", "completions 499"), 0.0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/completions", json=LONG | {"n": 8}, timeout=httpx.Timeout(5, read=0.02))
    with httpx.stream("POST", f"{url}/v1/completions", json=LONG | {"n": 8, "stream": True}) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        now = _metrics(url)
        if now["k2_active_requests", ""] == 0 and now.get(("k2_requests_total", "completions 499"), 0.0) == before + 2:
            return
        time.sleep(0.1)
    pytest.fail(f"{now}")


def test_ctrl_c_ends_an_idle_server_at_once(start_server: Callable[..., Any]) -> None:
    process, url = start_server()
    assert httpx.get(f"{url}/health").status_code == 200
    assert _ended(process, signal.SIGINT) < 3


def test_sigterm_ends_a_busy_server_within_seconds(start_server: Callable[..., Any]) -> None:
    process, url = start_server("--max-batch", "2", "--max-length", "1000")
    long = LONG | {"max_tokens": 980}
    lines: dict[str, list[str]] = {}
    answers: dict[str, httpx.Response] = {}

    def read(name: str, path: str, body: dict[str, Any]) -> None:
        with httpx.stream("POST", f"{url}/v1/{path}", json=body, timeout=60) as answer:
            lines[name] = [line for line in answer.iter_lines() if line]

    def ask(name: str) -> None:
        answers[name] = httpx.post(f"{url}/v1/completions", json=long | {"n": 40}, timeout=60)

    chat = {"model": "tiny", "input": "Oslo?", "stream": True, "max_output_tokens": 900}
    threads = [
        threading.Thread(target=read, args=("completion", "completions", long | {"stream": True, "n": 40})),
        threading.Thread(target=read, args=("response", "responses", chat)),
        threading.Thread(target=ask, args=("whole",)),
    ]
    for thread in threads:
        thread.start()
    while _metrics(url)["k2_waiting_requests", ""] < 40:
        time.sleep(0.05)
    assert _ended(process, signal.SIGTERM) < SECONDS
    for thread in threads:
        thread.join(timeout=10)
    # Every stream ends with a word about why.
    error = json.loads(lines["completion"][-1].removeprefix("data: "))["error"]
    assert error["message"] == "the server is stopping"
    last = json.loads(lines["response"][-1].removeprefix("data: "))
    assert last["type"] in ("response.failed", "response.completed", "response.incomplete")
    assert answers["whole"].status_code == 503
    assert answers["whole"].json()["error"]["message"] == "the server is stopping"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_a_stream_that_can_end_in_time_ends_whole(start_server: Callable[..., Any]) -> None:
    process, url = start_server()
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    stream = iter(client.completions.create(model="tiny", prompt="The cat", max_tokens=60, stream=True))
    next(stream)
    process.send_signal(signal.SIGTERM)
    *_, last = stream
    assert last.choices[0].finish_reason is not None
    assert process.wait(timeout=60) == 0


def test_a_second_signal_ends_it_at_once(start_server: Callable[..., Any]) -> None:
    process, url = start_server("--max-batch", "1")
    thread = threading.Thread(
        target=lambda: httpx.post(f"{url}/v1/completions", json=LONG | {"n": 40}, timeout=60).read
    )
    threading.excepthook = lambda *_: None
    thread.start()
    while not _metrics(url)["k2_waiting_requests", ""]:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 1
    thread.join(timeout=10)


def test_options_that_cannot_work_are_refused_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options, message in (
            ((folder, "--max-batch", "0"), "--max-batch: 0 is not at least 1"),
            ((folder, "--max-length", "1"), "--max-length: 1 is not at least 2"),
            ((folder, "--threads", "0"), "--threads: 0 is not at least 1"),
            ((folder, "--port", "70000"), "--port: 70000 is not 0 to 65535"),
            ((folder, "--port", "-1"), "--port: -1 is not 0 to 65535"),
            ((folder, "--port", port), f"--host, --port: 127.0.0.1:{port}: Address already in use"),
            ((folder, "--max-length", "5000", "--port", "0"), "max_length: 5000 exceeds max_position_embeddings 1024"),
            ((tmp_path / "nothing",), f"checkpoint: {tmp_path / 'nothing'} is no folder"),
            ((folder, "--tokenizer", tmp_path / "nothing"), f"--tokenizer: {tmp_path / 'nothing'} is no folder"),
        ):
            monkeypatch.setattr(sys, "argv", ["serve", *map(str, options)])
            assert server.main() == 2
            told = capsys.readouterr()
            assert told.out == ""
            assert told.err == f"{message}\n"


def test_k2_serve_ends_with_the_status_of_a_refusal(folder: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "serve", str(folder), "--max-batch", "0"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "--max-batch: 0 is not at least 1\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "max-batch: 0 requests at once is below 1"),
        ({"max_batch": -3}, "max-batch: -3 requests at once is below 1"),
        ({"max_length": 0}, "max-length: 0 is below 2"),
        ({"max_length": 1}, "max-length: 1 is below 2"),
        ({"max_length": 1025}, "max_length: 1025 exceeds max_position_embeddings 1024"),
        ({"max_batch": 2**40}, "max-batch, max-length: no memory for 1099511627776 requests of 1024 tokens"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(folder: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        open_service(folder, **options)


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: not found"):
        open_service(tmp_path)
    with pytest.raises(ConfigError, match=r"tokenizer\.json: not found"):
        open_service(folder, tmp_path)
