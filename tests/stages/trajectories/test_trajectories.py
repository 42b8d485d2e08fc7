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

from agents.conversations.agents import make_agent
from agents.conversations.trajectory import Case, replay
from agents.conversations.wording import Wording
from agents.worlds.reading import authored
from agents.worlds.surface import surface
from bench.mock_endpoint import Action, MockEndpoint
from gym.repositories.project import Project
from stages.dial import load_params, parse_params
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.tables import AGENTS, REPAIRS, TASKS, TOOLS, TRAJECTORIES, read_table, write_table
from stages.harness.teacher import Teacher
from stages.tools.__main__ import _of_shape
from stages.trajectories import shards
from stages.trajectories.desks import surfaces
from stages.trajectories.simulated import Maker
from stages.trajectories.sources import consult
from tests.answering import Answering
from tests.stages.trajectories.mock_teacher import behave
from tests.stored_repairs import write_stored

ROOT = Path(__file__).parents[2]
OUTS = ("trajectories", "tasks", "agents")
NAMES = [name for name, app in authored().items() if not app.held][:12]


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
    params["traces"] = 0  # what MLflow shows is tested with the pipeline
    params["tools"] |= {"real": 0, "functions": 0, "near_dup_threshold": 1.0, "shapes": 1}
    params["trajectories"] |= {"agents": 50, "worded": 0, "coding": 0, "servers": 0} | trajectories
    for kind in ("requests", "singles"):
        params["trajectories"][kind] |= {"count": requests, "library": 0.0, "service": 0.0}
    (made / "params.yaml").write_text(yaml.safe_dump(params))
    write_table(made / "data" / "repairs.parquet", [], REPAIRS)
    (made / "data" / "repositories").mkdir(parents=True)
    return made


def _hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / "data" / f"{name}.parquet").read_bytes()).hexdigest() for name in OUTS}


@pytest.mark.slow
def test_a_killed_run_goes_on_at_the_next_shard_and_gives_the_same_bytes(
    tmp_path: Path, run_in: Callable[..., Any], toy_project: Project, library_store: Path
) -> None:
    folder = _checkout(tmp_path / "checkout", count=120, shard=10, coding=3, requests=20, servers=2)
    write_stored(folder / "data", toy_project, library_store, held=(False, True))
    env = _load(ROOT / "conftest.py").checkout_env()
    few = [row for name in NAMES for row in _of_shape(surface(name, 2), "authored", None)]
    write_table(folder / "data" / "tools.parquet", few, TOOLS)
    command = [sys.executable, "-m", "stages.trajectories"]
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(folder.glob("work/trajectories/*/simulated-*.jsonl"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("work/trajectories/*/simulated-*.jsonl")}
    assert 3 <= len(before) < 12 and not (folder / "data" / "trajectories.parquet").exists()
    run_in(folder, *command)
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    resumed = _hashes(folder)
    for path in folder.glob("work/trajectories/*/*.jsonl"):
        path.unlink()
    run_in(folder, *command)
    assert _hashes(folder) == resumed
    table = read_table(folder / "data" / "trajectories.parquet", TRAJECTORIES)
    assert table.num_rows == 165
    counted = {"simulated": 120, "request": 20, "single": 20, "server": 2, "coding": 3}
    assert Counter(table["source"].to_pylist()) == counted
    assert pq.ParquetFile(folder / "data" / "trajectories.parquet").num_row_groups == 18
    sessions = [row for row in table.to_pylist() if row["source"] == "coding"]
    assert len({row["messages"] for row in sessions}) == 3
    assert all("area" in row["messages"] and row["patch"].startswith("diff --git") for row in sessions if row["kept"])
    assert any(row["kept"] for row in sessions)
    _replays(folder)


def _replays(folder: Path) -> None:
    """Simulated rows replay to their state from the files alone."""
    desks = {desk.app.name: desk for desk in surfaces(read_table(folder / "data/tools.parquet", TOOLS).to_pylist())}
    tasks = {row["task_id"]: row for row in read_table(folder / "data/tasks.parquet", TASKS).to_pylist()}
    maker = Maker(list(desks.values()), [make_agent(0, 0, list(desks.values()))], load_params().trajectories, 0)
    rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
    for row in [row for row in rows if row["source"] == "simulated"][::8]:
        task = tasks[row["task_id"]]
        _, agent, proof, persona = maker.draw(0)
        told = replace(proof.task, world_seed=task["world_seed"], tools=tuple(json.loads(task["tools"])))
        case = Case(desks[task["application"]], told, agent, persona, row["seed"])
        state, results = replay(case, json.loads(row["messages"]))
        assert state == row["state_hash"]
        assert results == [m["content"] for m in json.loads(row["messages"]) if m["role"] == "tool"]


@pytest.mark.slow
def test_a_teacher_behind_an_endpoint_invents_desks_writes_prompts_words_wishes_and_judges(
    tmp_path: Path, run_in: Callable[..., Any], toy_project: Project, library_store: Path
) -> None:
    folder = _checkout(tmp_path / "checkout", count=60, shard=20, worded=30, judged=30)
    write_stored(folder / "data", toy_project, library_store, held=(False, True))
    with MockEndpoint(behave) as server:
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params["endpoint"] |= {"concurrency": 8}
        params["tools"] |= {"teacher": f"{server.url}#mock", "invented": 1}
        params["trajectories"] |= {"teacher": f"{server.url}#mock", "judge": f"{server.url}#mock"}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        run_in(folder, sys.executable, "-m", "stages.tools")
        run_in(folder, sys.executable, "-m", "stages.trajectories")
        rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
        told = (folder / "data" / "trajectories_card.md").read_text()
        _with_a_model_that_acts(folder, server, run_in)
    tools = read_table(folder / "data/tools.parquet", TOOLS).to_pylist()
    made = {row["application"] for row in tools if row["source"] == "llm"}
    assert len(made) == 16 and "science_yard" not in made, "one could not be repaired"
    card = (folder / "data" / "tools_card.md").read_text()
    assert "#mock" in card and "Applications of the teacher that were left out:\n\n- does not load: 1" in card
    assert set(read_table(folder / "data/agents.parquet", AGENTS)["author"].to_pylist()) == {"llm"}
    assert "Who acts: a planner" in told and "50 have a prompt" in told and "/v1#mock read 30 of" in told
    worded = [row for row in rows if row["wording"] == "teacher"]
    assert f"worded the requests of {len(worded)}" in told and 15 <= len(worded) <= 30
    assert sum("be so good as to" in row["messages"] for row in worded) > 0.8 * len(worded)  # but for a user's typos
    judged = [row for row in rows if row["llm_verdict"]]
    assert len(judged) == 30 and {row["llm_verdict"] for row in judged} == {"success", "llm_judge"}
    assert all(row["kept"] == (row["llm_verdict"] == "success") for row in judged)


def _with_a_model_that_acts(folder: Path, server: MockEndpoint, run_in: Callable[..., Any]) -> None:
    """The stage with a model in the agents' place, which calls one tool and reports; some requests are filtered. Then
    the model plays the users too."""
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
    server.behaviour = behave
    params["trajectories"] |= {"user": "agent", "count": 20, "coding": 2}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    run_in(folder, sys.executable, "-m", "stages.trajectories")
    played = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
    assert len(played) == 22 and all('"content": "Please ' in row["messages"] for row in played[:20])
    assert all(row["source"] == "coding" and not row["kept"] for row in played[20:])  # it says that it is done
    assert [row["verdict"] for row in played[20:]] == ["false_report"] * 2
    assert "Users: played by the same model" in (folder / "data" / "trajectories_card.md").read_text()


def _maker(**changes: Any) -> Maker:
    p = load_params().trajectories.model_copy(update=changes)
    desks = [surface(name, number) for name in NAMES for number in range(2)]
    return Maker(desks, [make_agent(number, 0, desks) for number in range(40)], p, 7)


def test_rows_depend_on_their_number_alone_and_the_teachers_words_on_their_wish(tmp_path: Path) -> None:
    maker = _maker(count=40, worded=5, teacher="http://127.0.0.1/v1#mock")
    chosen = [number for number in range(40) if maker.worded(number)]
    assert len(chosen) == 5

    def own(numbers: range) -> list[Wording]:
        return [Wording(wish.goal.says, "length") for wish in maker.wishes(numbers)]

    rows = maker.rows(range(40), own(range(40)))
    assert maker.rows(range(10, 20), own(range(10, 20))) == rows[10:20]
    changed = [Wording(f"kindly {wish.goal.says}", "") for wish in maker.wishes(range(40))]
    with_teacher = maker.rows(range(40), changed)
    differ = [k for k, (a, b) in enumerate(zip(rows, with_teacher, strict=True)) if a != b]
    assert set(differ) <= set(chosen) and len(differ) >= 3  # a conversation may have nothing that can be worded
    assert all("kindly " in with_teacher[k]["trajectory"]["messages"].lower() for k in differ)
    assert all(with_teacher[k]["trajectory"]["wording"] == "teacher" for k in differ)
    shards.make(tmp_path / "a.jsonl", lambda: rows)
    shards.make(tmp_path / "a.jsonl", lambda: [])  # is there already
    assert next(shards.read([tmp_path / "a.jsonl"], "task")) == [row["task"] for row in rows]


def test_agents_with_too_few_tools_for_a_task_are_passed_over_or_named_in_one_line() -> None:
    desks = [surface("bike_workshop", 0)]
    p = load_params(ROOT.parent / "params.yaml").trajectories.model_copy(update={"easy_share": 1.0})
    able = make_agent(1, 0, desks)
    unable = replace(able, actions=("get_job", "list_jobs"))
    drawn = Maker(desks, [unable, able, unable], p, 7)
    assert all(drawn.draw(number)[1] is able for number in range(20))
    with pytest.raises(InputError, match="no agent has the tools for a task of 1 goals; lower trajectories.max_goals"):
        Maker(desks, [unable], p, 7).draw(0)


def test_the_judge_reads_only_what_passed_and_its_verdict_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _maker(count=30, worded=0).rows(range(60), [])
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
        ("trajectories", {"teacher": "embedded"}, r"teacher 'embedded': neither none nor a URL#model"),
        ("trajectories", {"user": "agent"}, r"the planner can't play the user; agent must be a URL#model"),
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


@pytest.mark.slow
def test_a_users_server_is_called_only_when_its_entry_says_so(tmp_path: Path, run_in: Callable[..., Any]) -> None:
    folder = _checkout(tmp_path / "checkout", count=10, shard=10, requests=40, executed=12)
    calls = tmp_path / "calls.jsonl"
    server = [sys.executable, str(ROOT / "agents" / "servers" / "workshop.py"), str(calls)]
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for kind in ("requests", "singles"):
        params["trajectories"][kind]["mcp"] = 1.0
    for execute in (False, True):
        params["tools"]["mcp_servers"] = [{"server": server, "name": "workshop", "execute": execute}]
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        run_in(folder, sys.executable, "-m", "stages.inputs")
        run_in(folder, sys.executable, "-m", "stages.tools")
        run_in(folder, sys.executable, "-m", "stages.trajectories")
        rows = read_table(folder / "data/trajectories.parquet", TRAJECTORIES).to_pylist()
        declaring = {row["source"] for row in rows if '"open_repair"' in row["tools"]}
        assert calls.exists() == execute
        assert declaring == ({"executed"} if execute else {"request", "single"})
        held = ("add_parts", "estimate_price", "book_slot")  # kept for measuring
        assert not any(f'"{name}"' in row["tools"] for row in rows for name in held)
    executed = [row for row in rows if row["source"] == "executed"]
    made = calls.read_text().splitlines()
    assert len(executed) == 12 and len(made) >= sum(row["n_calls"] for row in executed if row["kept"])
