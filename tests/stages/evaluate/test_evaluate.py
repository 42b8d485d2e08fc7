"""The runner with a scripted client; the command line with a real local server."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from agents.chat.losses import CountingClient, Losses
from agents.chat.protocol import BudgetExceeded, ChatAnswer, ChatError, ChatRefusal, ChatRequest, ChatResponse
from agents.chat.store import AnswerStore, CachedClient
from gym.benchmarks.base import Benchmark, Episode, Grade, Manifest, Reply, Sample, Settings, scored, user
from gym.benchmarks.open import open_benchmark
from stages.evaluate import scores, standalone
from stages.evaluate.runner import _redacted, run_benchmark
from tests.answering import Answering
from tests.databases import mlflow_database, tracked_in

SETTINGS = Settings(2, 1.0, 1.0, 16)


class Scripted(Answering):
    """Answers with the gold; `broken` prompts are refused, and after `limit` answers the budget is spent."""

    def __init__(self, broken: str = "", limit: int = 10**9) -> None:
        super().__init__(self._say)
        self.broken, self.limit, self.count = broken, limit, 0

    def _say(self, request: ChatRequest) -> ChatAnswer:
        text = str(request.messages[-1]["content"])
        if self.broken and self.broken in text:
            return ChatRefusal("refused", "status 400: content filter")
        if self.count >= self.limit:
            raise BudgetExceeded("spent")
        self.count += 1
        bench = open_benchmark("competition_templates")
        (gold,) = [one for one in bench.items() if one.messages[-1]["content"] == text]
        finish = "length" if self.count % 2 else "stop"
        return ChatResponse(bench.gold_reply(gold).text, completion_tokens=5, finish_reason=finish)


def test_errors_of_the_machine_are_apart_and_the_budget_ends_quietly() -> None:
    bench = open_benchmark("competition_templates")
    word = str(bench.items()[5].messages[-1]["content"])
    rows = run_benchmark(bench, Scripted(broken=word), SETTINGS, seed=1)
    found = scores.metrics(bench, rows, 0)
    assert found["competition_templates_infrastructure_errors"] == 2
    assert found["competition_templates"] == 1.0
    assert found["competition_templates_n"] == 29
    assert found["competition_templates_truncated"] > 0
    assert found["competition_templates_pass_hat_2"] == 1.0
    rows = run_benchmark(bench, Scripted(limit=7), SETTINGS, seed=1)
    found = scores.metrics(bench, rows, 0)
    assert found["competition_templates_not_run"] == 53
    assert found["competition_templates_n"] == 7
    client = CountingClient(Scripted(broken="e"), Losses(0.2))
    with pytest.raises(ChatError, match=r"60 requests got no answer \(13 × status 400: content filter\)"):
        run_benchmark(bench, client, SETTINGS, seed=1)


def test_a_request_that_exceeds_the_context_is_scored_and_no_error_of_the_machine() -> None:
    bench = open_benchmark("competition_templates")
    word = str(bench.items()[5].messages[-1]["content"])
    own = Scripted()

    def say(request: ChatRequest) -> ChatAnswer:
        long = str(request.messages[-1]["content"]) == word
        return ChatRefusal("too_long", "status 413: ") if long else own._say(request)

    rows = run_benchmark(bench, CountingClient(Answering(say), Losses(0.0)), SETTINGS, seed=1)
    found = scores.metrics(bench, rows, 0)
    assert found["competition_templates_infrastructure_errors"] == 0 and found["competition_templates_n"] == 30
    assert [(row["score"], row["status"]) for row in rows if row["prompt"] == word] == [(0.0, "no_answer")] * 2


def test_a_killed_run_asks_only_what_is_missing(tmp_path: Path) -> None:
    bench = open_benchmark("competition_templates")
    first = Scripted(limit=20)
    run_benchmark(bench, CachedClient(first, AnswerStore(tmp_path / "a.sqlite")), SETTINGS, seed=1)
    second = Scripted()
    rows = run_benchmark(bench, CachedClient(second, AnswerStore(tmp_path / "a.sqlite")), SETTINGS, seed=1)
    assert (first.count, second.count) == (20, 40)
    assert all(row["score"] == 1.0 for row in rows)


class Reading(Benchmark):
    """An agent reads five long pages of a copy; what it saw of them decides nothing."""

    name = "reading"
    manifest = Manifest("builtin-reading", "", "1", "", 1, "")

    def items(self) -> list[Sample]:
        return [Sample("a", user("read"), {})]

    def tools(self) -> list[dict[str, Any]]:
        return []

    def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        return f"{arguments['page']}" * 3000, False

    def episode(self, sample: Sample) -> Episode:
        stop, _ = yield from self.agent(sample.messages, self)
        return scored(stop == "answered", stop)

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        raise NotImplementedError

    def gold_reply(self, sample: Sample) -> Reply:
        raise NotImplementedError


def test_an_agent_whose_context_is_full_sees_what_the_policy_leaves() -> None:
    def read(request: ChatRequest) -> ChatResponse:
        page = sum(message["role"] == "assistant" for message in request.messages)
        call = {"id": "", "function": {"name": "read", "arguments": json.dumps({"page": page})}}
        return ChatResponse("", tool_calls=(call,)) if page < 5 else ChatResponse("done")

    settings = Settings(1, 1.0, 1.0, 1000, context=4000)
    hidden, ends = {}, {}
    policies: list[dict[str, Any]] = [{}, {"context_policy": "keep_all"}, {"context_policy": "hide_all_but_last"}]
    for chosen in policies:
        client, name = Answering(read), chosen.get("context_policy", "default")
        (row,) = run_benchmark(Reading(), client, settings, seed=1, **chosen)
        ends[name] = row["extracted"]
        hidden[name] = [sum("[hidden" in str(m["content"]) for m in asked.messages) for asked in client.asked]
    assert ends == {"default": "answered", "keep_all": "context_exhausted", "hide_all_but_last": "answered"}
    assert hidden == {
        "default": [0, 0, 0, 2, 2, 4],
        "keep_all": [0, 0, 0],
        "hide_all_but_last": [0, 0, 1, 2, 3, 4],
    }


def test_all_wrong_still_has_an_interval() -> None:
    bench = open_benchmark("competition_templates")
    rows = run_benchmark(bench, Scripted(), SETTINGS, seed=1)
    found = scores.metrics(bench, [row | {"score": 0.0} for row in rows], 0)
    assert found["competition_templates_ci_low"] == 0.0
    assert found["competition_templates_ci_high"] > 0.05


def test_quotes_of_a_secret_prompt_are_hidden() -> None:
    secret = "Which of the following particles has a mass close to that of the proton and no charge"
    said = "You ask: which of the following particles has a mass close to that of the proton. Answer: B"
    hidden = _redacted(said, secret)
    assert hidden == "You ask: [quoted]. Answer: B"


class Handler(BaseHTTPRequestHandler):
    """Answers A; what holds a word of `refused` is refused with the API key in the text."""

    refused: tuple[str, ...] = ()
    seen: list[dict[str, str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({"path": self.path, **dict(self.headers)})
        message = {"role": "assistant", "content": "Answer: A", "reasoning_content": f"{body['seed']}"}
        answer: dict[str, Any] = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}
        bad = any(word in str(body["messages"][-1]["content"]) for word in self.refused)
        if bad:
            told = f"content filter; {self.path} {self.headers['Authorization']}"
            answer = {"error": {"message": told, "code": "content_filter"}}
        data = json.dumps(answer).encode()
        self.send_response(400 if bad else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def endpoint() -> Iterator[str]:
    Handler.refused, Handler.seen = (), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


def test_a_refusal_costs_its_item_and_no_secret_is_kept_anywhere(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    secrets = ("sk-env-0123456789abcdef", "hunter2-password", "q-key-99887766")
    monkeypatch.setenv("OPENAI_API_KEY", f"{secrets[0]}\n")
    word = str(open_benchmark("arithmetic_mc").items()[0].messages[-1]["content"])
    Handler.refused = (word,)
    base, rest = endpoint.split("://")[1].split("/")
    for target in (f"http://me:{secrets[1]}@{base}/{rest}#m", f"http://{base}/{rest}?api_key={secrets[2]}#n"):
        assert standalone.run(["--target", target, "--benchmarks", "arithmetic_mc", "--out", f"out-{len(target)}"]) == 0
        said = capsys.readouterr()
        assert "1 infrastructure errors" in said.out and "of 100 requests got no answer (1 × status 400: " in said.out
        assert not any(secret in said.out + said.err for secret in secrets)
        rows = pq.read_table(tmp_path / f"out-{len(target)}/arithmetic_mc.parquet").to_pylist()
        assert [row["status"] for row in rows].count("infrastructure_error") == 1
    assert Handler.seen[0]["Authorization"].startswith("Basic ")
    assert Handler.seen[-1]["path"].endswith(f"?api_key={secrets[2]}")
    assert Handler.seen[-1]["Authorization"] == f"Bearer {secrets[0]}"
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), file


def test_too_many_refusals_stop_the_evaluation_with_one_line(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    Handler.refused = ("e",)
    command = ["--target", f"{endpoint}#m", "--benchmarks", "arithmetic_mc", "--items", "40"]
    assert standalone.run(command) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("evaluate: 9 of 40 requests got no answer") and "\n" not in said
    assert standalone.run([*command, "--max-failed-share", "1"]) == 0


def test_the_command_line_without_the_pipeline(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    command = ["--target", endpoint, "--model", "m", "--benchmarks", "gpqa_diamond,arithmetic_mc,function_calling,bfcl"]
    assert standalone.run([*command, "--items", "20", "--repeats", "2", "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out/scores.json").read_text())
    assert found["gpqa_diamond_n"] == 20
    assert 0 < found["arithmetic_mc_ci_high"] < 1
    assert found["function_calling"] == 0.0  # some of every category was asked, or there would be no score
    rows = pq.read_table(tmp_path / "out/gpqa_diamond.parquet").to_pylist()
    assert len(rows) == 40
    if not rows[0]["dataset"].startswith("builtin"):
        assert all(row["prompt"].startswith("sha256:") for row in rows)
    assert standalone.run(["--published"]) == 0
    assert standalone.run(["--published"]) == 0
    said = capsys.readouterr().out
    assert "5 reference runs" in said and "0 reference runs" in said
    assert said.count("_loglikelihood: left out: ") == 2 and "which gives no log-probabilities" in said
    assert not any("loglikelihood" in name for name in found)
    import mlflow

    runs = mlflow.search_runs(experiment_names=["k2"], output_format="list")
    names = {run.info.run_name for run in runs}
    assert {"Kimi-K2-Instruct (published)", "Kimi-K2-Thinking (published)"} <= names
    assert {"SmolLM2-135M-Instruct (published)", "Qwen2.5-0.5B-Instruct (published)"} <= names
    ours = next(run for run in runs if run.info.run_name.startswith("evaluate"))
    assert "dataset.arithmetic_mc" in ours.data.tags
    assert "gpqa_diamond" in ours.data.metrics


def test_a_users_mistake_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in (
        ["--target", "nowhere", "--benchmarks", "arithmetic_mc"],
        ["--target", "embedded", "--benchmarks", "nothing"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--data", "aime_2025=x"],
        ["--benchmarks", "arithmetic_mc"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--context", "8192"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--items", "-1"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--budget-minutes", "nan"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--temperature", "inf"],
        ["--target", "embedded", "--benchmarks", "arithmetic_mc", "--out", "/proc/nowhere"],
    ):
        assert standalone.run(command) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("evaluate: ")
        assert "\n" not in said


@pytest.mark.slow
def test_a_run_killed_by_sigkill_asks_only_what_is_missing(tmp_path: Path) -> None:
    """The next process repeats no answer that had arrived, and ends as an undisturbed one would."""
    asked: list[str] = []
    enough = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(str(body["messages"][-1]["content"]))
            if len(asked) == 8:
                enough.set()
            time.sleep(0.02)
            message = {"role": "assistant", "content": "ABCD"[len(body["messages"][-1]["content"]) % 4]}
            data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = Path(__file__).parents[3]
    mlflow_database(tmp_path / "m.db")
    env = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/m.db", "PYTHONPATH": str(root)}
    target = f"http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-m", "stages.evaluate", "--target", target, "--model", "m"]
    command += ["--benchmarks", "arithmetic_mc", "--items", "30", "--concurrency", "1", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env)
    assert enough.wait(60)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = len(asked)
    assert 8 <= before < 30
    assert not (tmp_path / "out").exists()
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    server.shutdown()
    assert len(set(asked)) == 30
    assert len(asked) <= 31  # the one in flight at the kill
    rows = pq.read_table(tmp_path / "out/arithmetic_mc.parquet").to_pylist()
    assert [row["output"] for row in rows] == ["ABCD"[len(row["prompt"]) % 4] for row in rows]


def test_a_deadline_ends_a_benchmark_between_two_answers_and_keeps_those_that_came() -> None:
    bench = open_benchmark("arithmetic_mc")
    settings = Settings(1, 0.0, 1.0, 8, source="a test")
    deadline = time.monotonic() + 0.3
    slow = Answering(lambda request: time.sleep(0.1) or "A")
    rows = run_benchmark(bench, slow, settings, seed=1, items=50, deadline=deadline)
    kept = [row for row in rows if row["status"] != "not_run"]
    assert 1 <= len(kept) == len(slow.asked) < 10 and len(rows) == 50
    assert {row["reason"] for row in rows if row["status"] == "not_run"} == {"the budget ended first"}
