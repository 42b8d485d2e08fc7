"""Repairs of packages of npm: gold patches are resolved, nothing else is, and an agent works on them."""

import json
from pathlib import Path

import pytest

from agents.chat.protocol import ChatRequest, ChatResponse
from gym.benchmarks.base import DataError
from gym.benchmarks.swe_bench import RepairsMultilingual
from gym.benchmarks.swe_instances import apply_patch, run_tests
from gym.javascript.store import Stored
from gym.sandbox import SandboxError
from gym.sandbox.workspace import Workspace, file_diff
from stages.evaluate.runner import run_benchmark
from tests.answering import Answering


def call(name: str, **arguments: str) -> ChatResponse:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return ChatResponse("", tool_calls=({"id": "same", "type": "function", "function": function},))


@pytest.fixture(scope="module")
def bench(scripts_folder: Path) -> RepairsMultilingual:
    made = RepairsMultilingual(scripts_folder, count=0)
    assert made.manifest.name == "builtin-repairs-javascript"
    return made


def test_gold_patches_are_resolved_and_nothing_else_is(bench: RepairsMultilingual, stored_scripts: Stored) -> None:
    assert len(bench.instances) == 3
    with bench.open_box() as box:
        bench.box = box
        for sample, bug in zip(bench.items(), stored_scripts.bugs, strict=True):
            one = bench.instances[sample.id]
            gold = bench.grade(sample, bench.gold_reply(sample))
            assert (gold.result.score, gold.parts["f2p"], gold.parts["p2p"]) == (1.0, 1.0, 1.0)
            assert gold.parts["verifier"] > 0.99
            broken = run_tests(box, one, one.files)
            assert {test for test, status in broken.items() if status != "PASSED"} == set(one.fail_to_pass)
            shown = set(one.fail_to_pass) - set(bug.hidden)
            cheats = {"harness/run.js": b"process.exit(0);\n", "test/numbers.js": b"", "new.js": b"1\n"}
            for path, content in cheats.items():
                cheat = bench.grade_patch(sample.id, file_diff(path, one.files.get(path), content))
                assert cheat.result.score == 0.0 and (cheat.parts["verifier"] == 0.0) is bool(shown)
            text = Workspace(one.files, box).bash(one.command)
            assert text.endswith("[exit status 1]" if shown else "[exit status 0]"), text
            tests = "".join(one.files[path].decode() for path in stored_scripts.project.tests)
            names = {test.rpartition(" > ")[2].rpartition(": ")[2] for test in bug.hidden if "#" not in test}
            alone = names - {"words"}  # which two have
            assert alone and not [name for name in alone if f"'{name}'" in tests]
            assert "'fails'" not in tests  # on the good package: no test of a task


def test_an_agent_repairs_in_a_copy(bench: RepairsMultilingual) -> None:
    def answer(request: ChatRequest) -> ChatResponse:
        text = str(request.messages[1]["content"])
        one = next(one for one in bench.instances.values() if text.startswith(one.statement))
        fixed = apply_patch(one.files, one.patch)
        assert fixed is not None
        old, new = one.files[one.source].decode(), fixed[one.source].decode()
        step = sum(message["role"] == "assistant" for message in request.messages)
        return [
            call("bash", command=one.command),
            call("edit", path=one.source, old_str=old, new_str=new),
            call("bash", command=one.command),
            ChatResponse("Done."),
        ][step]

    rows = run_benchmark(bench, Answering(answer), bench.presets["k2"], seed=1)
    assert [row["score"] for row in rows] == [1.0] * 3


def test_a_package_that_can_be_read_is_left_out(
    scripts_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(box: object, project: object) -> None:
        raise SandboxError("inkscripts can be read before a session starts: /usr/lib/node_modules/inkscripts")

    monkeypatch.setattr("gym.benchmarks.swe_javascript.refuse_if_found", found)
    with pytest.raises(DataError, match="repairs_multilingual: needs gcc or node"):
        RepairsMultilingual(scripts_folder, count=0)
    told = capsys.readouterr().out
    assert "repairs_multilingual: left out: inkscripts can be read before a session starts: /usr/lib" in told
    assert "repairs_multilingual: no task in JavaScript" in told
