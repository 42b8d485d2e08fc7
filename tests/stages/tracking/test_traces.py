"""Held conversations as traces on SQLite: spans, what the judges said, and what the project's verifiers score."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Trace
from mlflow.tracking import MlflowClient

from stages.tracking.runs import Track
from stages.tracking.store import experiment_id
from stages.tracking.traces import choose, log_traces

LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    },
}
RUBRIC = {"success": [{"must": "be told", "values": [3], "wish": "the size"}], "at_most_calls": 2}


def _trajectory(name: str, verdict: str, kept: bool, **changes: Any) -> dict[str, Any]:
    arguments = changes.pop("arguments", '{"id": "W1"}')
    call = {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": arguments}}
    messages = [
        {"role": "system", "content": "You serve. Today is 2026-05-01."},
        {"role": "user", "content": "What is W1?"},
        {"role": "assistant", "content": "", "reasoning_content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.look:0", "content": '{"size": 3}'},
        {"role": "assistant", "content": changes.pop("says", "Size 3.")},
    ]
    return {
        "traj_id": name,
        "task_id": f"task-{name}",
        "agent_id": "a",
        "domain": "desk",
        "source": "simulated",
        "state_hash": "s",
        "messages": json.dumps(messages),
        "tools": json.dumps([LOOK]),
        "verdict": verdict,
        "reason": "because",
        "kept": kept,
        "llm_verdict": "",
        "llm_reason": "",
    } | changes


def _logged(root: Path) -> dict[str, Trace]:
    client = MlflowClient()
    return {trace.data.spans[0].name: trace for trace in client.search_traces([experiment_id(root)])}


def _said(trace: Trace) -> dict[str, tuple[Any, str]]:
    feedback = [one for one in trace.info.assessments if one.feedback is not None]
    assert [one.feedback.error for one in feedback if one.feedback.error] == []
    return {one.name: (one.feedback.value, one.source.source_type) for one in feedback}


def test_trajectories_are_traces_with_turns_calls_and_the_verdict_once(root: Path) -> None:
    rows = [_trajectory(f"t{k}", "success", True) for k in range(6)] + [_trajectory("bad", "wrong_state", False)]
    chosen = choose(rows, 3)
    assert {row["verdict"] for row in chosen} == {"success", "wrong_state"}
    assert len({row["traj_id"] for row in chosen}) == 3
    assert log_traces(root, chosen, {}, "none") == 3
    assert log_traces(root, chosen, {}, "none") == 0
    traces = _logged(root)
    assert len(traces) == 3
    bad = traces["bad"]
    spans = bad.data.spans
    assert [(span.name, span.span_type) for span in spans] == [
        ("bad", "AGENT"),
        ("turn", "LLM"),
        ("look", "TOOL"),
        ("turn", "LLM"),
    ]
    assert spans[2].inputs == {"arguments": '{"id": "W1"}'}
    assert spans[2].outputs == {"result": '{"size": 3}'}
    assert spans[1].inputs["messages"][1]["content"] == "What is W1?"
    assert [span.start_time_ns for span in spans] == sorted(span.start_time_ns for span in spans)
    assert _said(bad) == {"judge": (False, "CODE"), "calls_valid": (True, "CODE")}
    (judged,) = [one for one in bad.info.assessments if one.name == "judge"]
    assert judged.rationale == "wrong_state: because"


def test_verifiers_score_the_traces_under_the_stages_run_and_the_judges_verdict_stands_beside(root: Path) -> None:
    work = root / "work" / "trajectories" / "f1"
    work.mkdir(parents=True)
    track = Track("trajectories", root, work, {"seed": 0}, {}, system=False, apart=True)
    gold = {"calls": [{"tool": "look", "arguments": {"id": "W1"}}]}
    rows = [
        _trajectory("good", "success", True, llm_verdict="success", llm_reason="polite"),
        _trajectory("rude", "llm_judge", False, llm_verdict="llm_judge", llm_reason="polite, message 4: no"),
        _trajectory("silent", "not_told", False, says="I see."),
        _trajectory("wrong", "success", True, arguments='{"id": 5}'),
    ]
    rubrics = {f"task-{name}": json.dumps(RUBRIC) for name in ("good", "rude", "silent")}
    assert log_traces(root, rows, rubrics | {"task-wrong": json.dumps(gold)}, "url#judge") == 4
    track.end("FINISHED", {})
    traces = _logged(root)
    good = _said(traces["good"])
    assert good == {
        "judge": (True, "CODE"),
        "llm_judge": (True, "LLM_JUDGE"),
        "calls_valid": (True, "CODE"),
        "rubric/at_most_calls": (True, "CODE"),
        "rubric/told": (True, "CODE"),
    }
    assert _said(traces["rude"])["judge"][0] and not _said(traces["rude"])["llm_judge"][0]
    assert _said(traces["silent"])["rubric/told"][0] is False
    wrong = _said(traces["wrong"])
    assert (wrong["calls_valid"][0], wrong["rubric/exact_calls"][0]) == (False, False)
    (llm,) = [one for one in traces["good"].info.assessments if one.name == "llm_judge"]
    assert (llm.source.source_id, llm.rationale) == ("url#judge", "success: polite")
    assert traces["good"].search_assessments("rubric", type="expectation")[0].value == RUBRIC
    (run,) = MlflowClient().search_runs([experiment_id(root)])
    assert run.data.tags["stage"] == "trajectories" and run.data.tags["mlflow.runType"] == "genai_evaluate"
    assert run.data.metrics["calls_valid/mean"] == 0.75
    assert run.data.metrics["rubric/told/mean"] == pytest.approx(2 / 3)
