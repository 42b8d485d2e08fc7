"""The tools and trajectories stages as a user runs them: killed in the middle, with a teacher behind an endpoint."""

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from agents.conversations.planner import make_agent
from agents.conversations.tasks import WorldTask, applications
from agents.conversations.trajectory import replay
from agents.conversations.wording import Wording
from agents.tools.evolve import evolve
from agents.tools.spec import simulated
from bench.mock_endpoint import Action, MockEndpoint
from stages.dial import load_params, parse_params
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.tables import AGENTS, TASKS, TOOLS, TRAJECTORIES, read_table, write_table
from stages.harness.teacher import Teacher
from stages.tools.__main__ import _synthetic
from stages.trajectories import shards
from stages.trajectories.__main__ import consult
from stages.trajectories.simulated import Maker, usable
from tests.answering import Answering

ROOT = Path(__file__).parents[2]
OUTS = ("trajectories", "tasks", "agents")


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem + "_loaded", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checkout(folder: Path, requests: int = 0, **trajectories: Any) -> Path:
    root = _load(ROOT / "conftest.py")
    made = root.make_checkout(folder)
    params = yaml.safe_load((made / "params.yaml").read_text())
    params["tools"] |= {"real": 0, "functions": 0, "worded": 0, "near_dup_threshold": 1.0, "synthetic_per_kind": 12}
    params["trajectories"] |= {"agents": 50, "worded": 0, "coding": 0} | trajectories
    params["trajectories"]["requests"] |= {"count": requests, "library": 0.0, "service": 0.0}
    (made / "params.yaml").write_text(yaml.safe_dump(params))
    return made


def _hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / "data" / f"{name}.parquet").read_bytes()).hexdigest() for name in OUTS}


@pytest.mark.slow
def test_a_killed_run_goes_on_at_the_next_shard_and_gives_the_same_bytes(
    tmp_path: Path, run_in: Callable[..., Any]
) -> None:
    folder = _checkout(tmp_path / "checkout", count=320, shard=20, coding=2, requests=30)
    env = _load(ROOT / "conftest.py").checkout_env()
    few = [_synthetic(tool, "grammar") for app in applications(evolve())[:12] for tool in app.tools.values()]
    write_table(folder / "data" / "tools.parquet", few, TOOLS)
    command = [sys.executable, "-m", "stages.trajectories"]
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(folder.glob("work/trajectories/*/simulated-*.jsonl"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("work/trajectories/*/simulated-*.jsonl")}
    assert 3 <= len(before) < 16 and not (folder / "data" / "trajectories.parquet").exists()
    run_in(folder, *command)
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    resumed = _hashes(folder)
    for path in folder.glob("work/trajectories/*/*.jsonl"):
        path.unlink()
    run_in(folder, *command)
    assert _hashes(folder) == resumed
    table = read_table(folder / "data" / "trajectories.parquet", TRAJECTORIES)
    assert table.num_rows == 352
    assert Counter(table["source"].to_pylist()) == {"simulated": 320, "request": 30, "coding": 2}
    assert pq.ParquetFile(folder / "data" / "trajectories.parquet").num_row_groups == 19
    _replays(folder)


def _replays(folder: Path) -> None:
    """Simulated rows replay to their state from the files alone."""
    apps = {app.name: app for app in usable(simulated(read_table(folder / "data/tools.parquet", TOOLS).to_pylist()))}
    tasks = {row["task_id"]: row for row in read_table(folder / "data/tasks.parquet", TASKS).to_pylist()}
    rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
    for row in [row for row in rows if row["source"] == "simulated"][::16]:
        task = tasks[row["task_id"]]
        names = [tool["function"]["name"] for tool in json.loads(row["tools"])]
        kinds, locked = tuple(json.loads(task["kinds"])), tuple(json.loads(task["locked"]))
        seed = task["world_seed"]
        rebuilt = WorldTask(task["task_id"], task["domain"], task["application"], seed, kinds, tuple(names), (), locked)
        found, _ = replay(apps[task["application"]], rebuilt, json.loads(row["messages"]), row["seed"])
        assert found == row["state_hash"]


@pytest.mark.slow
def test_a_teacher_behind_an_endpoint_invents_tools_writes_prompts_words_requests_and_judges(
    tmp_path: Path, run_in: Callable[..., Any]
) -> None:
    mock = _load(ROOT / "agents" / "chat" / "teacher.py")
    folder = _checkout(tmp_path / "checkout", count=60, shard=20, worded=30, judged=30)
    with MockEndpoint(mock.behave) as server:
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["endpoint"] |= {"concurrency": 8}
        params["tools"] |= {"teacher": f"{server.url}#mock", "worded": 20, "applications": 1}
        params["trajectories"] |= {"teacher": f"{server.url}#mock", "judge": f"{server.url}#mock"}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        run_in(folder, sys.executable, "-m", "stages.tools")
        run_in(folder, sys.executable, "-m", "stages.trajectories")
        asked = server.asked.total()
        first = _hashes(folder)
        for path in folder.glob("work/trajectories/*/*.jsonl"):
            path.unlink()
        run_in(folder, sys.executable, "-m", "stages.trajectories")
        assert server.asked.total() == asked
        assert _hashes(folder) == first
        rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
        told = (folder / "data" / "trajectories_card.md").read_text()
        _with_a_model_that_acts(folder, server, mock.behave, run_in)
    sources = read_table(folder / "data/tools.parquet", TOOLS)["source"].to_pylist()
    assert sources.count("llm") == 17 * 2 * 10
    card = (folder / "data" / "tools_card.md").read_text()
    assert "#mock" in card and "| llm | 340 |" in card and "Inventions of the teacher that were left out" in card
    assert set(read_table(folder / "data/agents.parquet", AGENTS)["author"].to_pylist()) == {"llm"}
    assert "Who acts: a planner" in told
    assert "50 have a prompt" in told and "worded the requests of 30" in told and "/v1#mock read 30 of" in told
    assert sum(row["wording"] == "teacher" for row in rows) == 30
    judged = [row for row in rows if row["llm_verdict"]]
    assert len(judged) == 30 and {row["llm_verdict"] for row in judged} == {"success", "llm_judge"}
    assert all(row["kept"] == (row["llm_verdict"] == "success") for row in judged)


def _with_a_model_that_acts(
    folder: Path, server: MockEndpoint, behave: Callable[..., Action], run_in: Callable[..., Any]
) -> None:
    """The stage with a model in the agents' place, which calls one tool and reports; some requests are filtered."""
    refused: set[str] = set()

    def filtered(body: dict[str, Any], before: int) -> Action:
        said = str(body["messages"][1]["content"])
        if body.get("tools") and len(said) % 13 == 0:
            refused.add(said)
            return Action(status=400, raw=b'{"error": {"message": "filtered", "code": "content_filter"}}')
        return behave(body, before)

    server.behaviour = filtered
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["trajectories"] |= {"agent": f"{server.url}#mock", "judge": "none"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    said = run_in(folder, sys.executable, "-m", "stages.trajectories").stdout
    assert "60 trajectories" in said and f"{len(refused)} conversations lost to a refusal: traj-" in said
    assert f"agent: {len(refused)} of " in said and "status 400: content_filter: filtered" in said
    rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
    assert {row["source"] for row in rows} == {"llm"}
    lost = [row for row in rows if row["verdict"] == "refused"]
    assert 0 < len(lost) == len(refused) and not any(row["kept"] for row in lost)
    assert all(row["n_calls"] >= 1 for row in rows if row not in lost)
    asked = server.asked.total()
    for path in folder.glob("work/trajectories/*/*.jsonl"):
        path.unlink()
    before = _hashes(folder)
    run_in(folder, sys.executable, "-m", "stages.trajectories")
    assert server.asked.total() == asked, "what was refused is not asked again"
    assert _hashes(folder) == before
    assert json.loads((folder / "metrics" / "trajectories.json").read_text())["acted_by_llm"] == 60
    assert f"Who acts: the language model {server.url}#mock." in (folder / "data" / "trajectories_card.md").read_text()


def _maker(**changes: Any) -> Maker:
    p = load_params().trajectories.model_copy(update=changes)
    apps = applications(evolve())
    return Maker(apps, [make_agent(number, 0, apps) for number in range(40)], p, 7)


def test_rows_depend_on_their_number_alone_and_the_teachers_words_on_their_sentence(tmp_path: Path) -> None:
    maker = _maker(count=40, worded=5)
    chosen = [number for number in range(40) if maker.worded(number)]
    assert len(chosen) == 5
    sentences = maker.sentences(range(40))
    own = [Wording(one.text, False, ()) for one in sentences]
    rows = maker.rows(range(40), own)
    assert (
        maker.rows(range(10, 20), [Wording(one.text, False, ()) for one in maker.sentences(range(10, 20))])
        == rows[10:20]
    )
    changed = [Wording(f"Please: {one.text}", True, ()) for one in sentences]
    with_teacher = maker.rows(range(40), changed)
    differ = [k for k, (a, b) in enumerate(zip(rows, with_teacher, strict=True)) if a != b]
    assert differ == chosen
    assert all("Please: " in with_teacher[k]["trajectory"]["messages"] for k in chosen)
    assert all(with_teacher[k]["trajectory"]["untold"] == 0 for k in range(40))
    shards.make(tmp_path / "a.jsonl", lambda: rows)
    shards.make(tmp_path / "a.jsonl", lambda: [])  # is there already
    assert next(shards.read([tmp_path / "a.jsonl"], "task")) == [row["task"] for row in rows]


def test_agents_with_too_few_tools_for_a_task_are_passed_over_or_named_in_one_line(tmp_path: Path) -> None:
    apps = usable(evolve())[:1]
    p = load_params(ROOT.parent / "params.yaml").trajectories.model_copy(update={"easy_share": 1.0})
    able = make_agent(1, 0, apps)
    only_looks = tuple(name for name, tool in apps[0].tools.items() if tool.action == "get")
    unable = replace(make_agent(1, 0, apps[:1]), tools=only_looks)
    drawn = Maker(apps, [unable, able, unable], p, 7)
    assert all(drawn.draw(number)[0] is able for number in range(20))
    with pytest.raises(InputError, match="no agent has the tools for a task of 1 subgoals; .*tools.synthetic_per_kind"):
        Maker(apps, [unable], p, 7).draw(0)


def test_the_judge_reads_only_what_passed_and_its_verdict_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _maker(count=30, worded=0).rows(range(30), [])
    passed = [row["trajectory"]["traj_id"] for row in rows if row["trajectory"]["kept"]]
    failed = [row["trajectory"]["traj_id"] for row in rows if not row["trajectory"]["kept"]]

    said = iter(["yes", "no", "yes"])
    client = Answering(lambda request: next(said))
    monkeypatch.setattr("stages.harness.teacher.open_client", lambda *args, **kwargs: client)
    endpoint: EndpointParams = load_params().endpoint
    with Teacher("embedded", endpoint, 1) as judge:
        consult(judge, rows, 3)
    found = {row["trajectory"]["traj_id"]: row["trajectory"] for row in rows}
    assert [found[name]["llm_verdict"] for name in passed[:4]] == ["success", "llm_judge", "success", ""]
    assert [found[name]["kept"] for name in passed[:4]] == [True, False, True, True]
    assert failed and all(not found[name]["llm_verdict"] for name in failed)


@pytest.mark.parametrize(
    ("section", "change", "line"),
    [
        ("trajectories", {"judge": "somebody"}, r"judge 'somebody'"),
        ("trajectories", {"teacher": "none"}, r"teacher 'none'"),
        ("trajectories", {"judge": "http://127.0.0.1/v1"}, r"judge .*URL#model"),
        ("trajectories", {"agent": "embedded"}, r"agent 'embedded': neither planner nor a URL#model"),
        ("trajectories", {"agent": "http://127.0.0.1/v1"}, r"agent .*URL#model"),
        ("tools", {"teacher": "http://127.0.0.1/v1"}, r"teacher .*URL#model"),
        ("tools", {"teacher": "gpt"}, r"teacher 'gpt'"),
    ],
)
def test_an_impossible_teacher_or_judge_is_one_line(section: str, change: dict[str, Any], line: str) -> None:
    value = yaml.safe_load(Path("params.yaml").read_text())
    value[section] |= change
    with pytest.raises(InputError, match=line):
        parse_params(value)
