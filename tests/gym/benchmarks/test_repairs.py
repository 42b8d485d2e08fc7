"""Repairs of real repositories as a benchmark: hidden tests decide, and where an agent looked is counted."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from gym.benchmarks.base import DataError, Reply
from gym.benchmarks.open import open_benchmark
from gym.benchmarks.repairs import Repairs
from gym.repositories.project import Project
from gym.verifiers.result import Status
from stages.evaluate.runner import run_benchmark
from stages.evaluate.scores import metrics
from tests.answering import Answering
from tests.stored_repairs import PLANE, write_stored


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, toy_project: Project, library_store: Path) -> Path:
    return write_stored(tmp_path_factory.mktemp("stored"), toy_project, library_store)


@pytest.fixture(scope="module")
def agentless(table: Path) -> Iterator[Repairs]:
    bench = open_benchmark("repairs_python_agentless", table)
    assert isinstance(bench, Repairs)
    with bench.open_box():
        yield bench


def test_agentless_gold_answers_pass_and_others_do_not(agentless: Repairs) -> None:
    assert agentless.manifest.name == "builtin-repairs-python"
    for sample in agentless.items():
        assert f"From {PLANE}:" in str(sample.messages[0]["content"])
        gold = agentless.grade(sample, agentless.gold_reply(sample))
        assert gold.result.score == 1.0, gold
        assert gold.parts["verifier"] > 0.9
        assert agentless.grade(sample, Reply("I cannot.")).result.status is Status.NO_ANSWER
        twice = "```\n<<<<<<< SEARCH\nreturn\n=======\nreturn 1\n>>>>>>> REPLACE\n```"
        assert "times" in agentless.grade(sample, Reply(twice)).result.reason
    half, blank = agentless.items()
    wrong = agentless.gold_reply(half).text.replace("twice / 2", "twice / 4")
    found = agentless.grade(half, Reply(wrong))
    assert found.result.score == 0.0 and found.parts["verifier"] == 0.0
    assert "raise NotImplementedError" in str(blank.messages[0]["content"])


def test_the_good_code_is_in_no_question(agentless: Repairs) -> None:
    half, blank = (str(sample.messages[0]["content"]) for sample in agentless.items())
    assert "half = twice / 3" in half and "half = twice / 2" not in half
    assert "math.hypot" not in blank


def _call(name: str, **arguments: str) -> ChatResponse:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return ChatResponse("", tool_calls=({"id": "same", "type": "function", "function": function},))


def _engineer(new: str, *, rewrites_tests: bool = False) -> Callable[[ChatRequest], ChatResponse]:
    def answer(request: ChatRequest) -> ChatResponse:
        step = sum(message["role"] == "assistant" for message in request.messages)
        if "distance" in str(request.messages[1]["content"]):
            return ChatResponse("I can't.")
        steps = [
            _call("search_dir", pattern="def area"),
            _call("view", path="nowhere.py"),
            _call("edit", path=PLANE, old_str="half = twice / 3", new_str=new),
            _call("bash", command="python -m pytest -q tests/test_plane.py -k area"),
            ChatResponse("Done."),
        ]
        if rewrites_tests:
            steps[3] = _call("bash", command="sed -i 's/assert .*/assert True/' tests/test_plane.py && echo 1 passed")
        if step == 4:
            shown = str(request.messages[-1]["content"])
            assert "1 passed" in shown or "1 failed" in shown  # two of the three are hidden
        return steps[step]

    return answer


def test_an_agent_repairs_and_where_it_looked_is_counted(table: Path) -> None:
    bench = open_benchmark("repairs_python", table)
    rows = run_benchmark(bench, Answering(_engineer("half = twice / 2")), bench.presets["k2"], seed=1)
    assert [(row["score"], row["status"]) for row in rows] == [(1.0, "scored"), (0.0, "no_answer")]
    parts = json.loads(rows[0]["parts"])
    assert parts["valid_calls"] == 0.75
    assert parts["opened_file"] == parts["edited_file"] == parts["edited_function"] == 1.0
    found = metrics(bench, rows, 1)
    assert found["repairs_python"] == 0.5
    assert found["repairs_python_edited_function"] == 0.5
    assert json.loads(rows[1]["parts"])["opened_function"] == 0.0


def test_what_only_looks_right_is_not(table: Path) -> None:
    bench = open_benchmark("repairs_python", table)
    rows = run_benchmark(
        bench, Answering(_engineer("half = 10.0 if twice == 20 else twice / 3")), bench.presets["k2"], seed=1
    )
    assert rows[0]["score"] == 0.0
    assert json.loads(rows[0]["parts"])["edited_function"] == 1.0


def test_a_verifier_runs_the_tests_as_they_were_shown(table: Path) -> None:
    bench = open_benchmark("repairs_python", table)
    wrong = Answering(_engineer("half = twice / 4", rewrites_tests=True))
    row = run_benchmark(bench, wrong, bench.presets["k2"], seed=1)[0]
    assert "assert True" in row["extracted"] and row["score"] == 0.0
    assert json.loads(row["parts"])["verifier"] == 0.0


def test_no_table_and_no_held_task_are_one_line(
    tmp_path: Path, toy_project: Project, library_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"data/repairs.parquet: not found; the stage repositories makes it"):
        open_benchmark("repairs_python")
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="x.parquet: no table of repair tasks"):
        open_benchmark("repairs_python", tmp_path / "x.parquet")
    table = write_stored(tmp_path, toy_project, library_store, held=(False, False))
    with pytest.raises(DataError, match="no held task"):
        open_benchmark("repairs_python", table)
