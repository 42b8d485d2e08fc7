"""AIME with Python and in heavy mode, with a scripted model and the real sandbox."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.benchmarks.aime_modes import ROLLOUTS, STEPS, AimeHeavy, AimePython
from gym.benchmarks.base import Grade, Reply
from gym.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with open_sandbox(workers=1) as found:
        yield found


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "aime.jsonl"
    path.write_text(json.dumps({"ID": "2024-I-1", "Problem": "Find 200+4.", "Answer": 204}) + "\n")
    return path


def python(code: str, name: str = "python") -> Reply:
    function = {"name": name, "arguments": json.dumps({"code": code})}
    return Reply("", tool_calls=({"id": "functions.python:0", "type": "function", "function": function},))


def test_a_program_is_run_and_its_output_is_read(box: Sandbox, problems: Path) -> None:
    bench = AimePython("aime_2024", problems)
    assert bench.name == "aime_2024_with_python" and bench.manifest.name.startswith("aime_2024@")
    bench.box = box
    assert (bench.presets["k2-thinking"].repeats, bench.presets["k2-thinking"].max_tokens) == (16, 98304)
    sample = bench.items()[0]
    episode = bench.episode(sample)
    assert next(episode).tools[0]["function"]["name"] == "python"
    ask = episode.send(python(f"print({sample.gold['answer']} * 1)"))
    assert str(ask.messages[-1]["content"]).strip() == sample.gold["answer"]
    assert "ZeroDivisionError" in str(episode.send(python("1/0")).messages[-1]["content"])
    assert "no tool 'bash'" in str(episode.send(python("1", name="bash")).messages[-1]["content"])
    with pytest.raises(StopIteration) as stop:
        episode.send(bench.gold_reply(sample))
    grade: Grade = stop.value.value
    assert (grade.result.score, grade.parts) == (1.0, {"official": 1.0, "steps": 4.0})
    episode = bench.episode(sample)
    next(episode)
    with pytest.raises(StopIteration) as stop:
        for _ in range(STEPS):
            episode.send(python("1", name="bash"))
    assert stop.value.value.result.score == 0.0


def test_heavy_mode_grades_the_aggregation_of_eight_rollouts(box: Sandbox, problems: Path) -> None:
    bench = AimeHeavy("aime_2024", problems)
    assert (bench.name, bench.presets["k2"].repeats) == ("aime_2024_heavy", 1)
    bench.box = box
    sample = bench.items()[0]
    episode = bench.episode(sample)
    next(episode)
    for k in range(ROLLOUTS):
        ask = episode.send(bench.gold_reply(sample) if k < 2 else Reply("I say \\boxed{998}." if k < 7 else ""))
    assert "Attempt 2:\nThe answer is" in str(ask.messages[-1]["content"])
    assert "Attempt 8:\n(no answer)" in str(ask.messages[-1]["content"])
    assert ask.tools == ()
    with pytest.raises(StopIteration) as stop:
        episode.send(bench.gold_reply(sample))
    grade: Grade = stop.value.value
    assert (grade.result.score, grade.parts["rollouts_right"]) == (1.0, 0.25)
