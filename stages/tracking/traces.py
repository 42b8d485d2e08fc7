"""Trajectories as MLflow traces: an agent's turns and tool calls as spans, verdicts and rubric results as assessments.

New traces are evaluated by the project's verifiers (`mlflow.genai.evaluate`, stages/tracking/scorers.py), under the
stage's own run.
"""

import io
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import AssessmentSource, SpanType
from mlflow.tracking import MlflowClient

from stages.harness.files import fingerprint
from stages.tracking.store import experiment_id, reason, running, store_errors, tracking_uri

Row = Mapping[str, Any]
TURN_NS = 1_000_000  # trajectories carry no clock: spans stand one millisecond apart, in order


def choose(rows: Sequence[Row], n: int) -> list[Row]:
    """Up to `n`: one of each verdict first, then kept ones spread over the set."""
    by_verdict = {row["verdict"]: row for row in reversed(rows)}
    first = list(by_verdict.values())[:n]
    taken = {row["traj_id"] for row in first}
    kept = [row for row in rows if row["kept"] and row["traj_id"] not in taken]
    step = max(1, len(kept) // max(1, n - len(first)))
    return [*first, *kept[::step][: n - len(first)]]


def log_traces(root: Path, rows: Sequence[Row], rubrics: Mapping[str, str], judge: str) -> int:
    """Logs those that this experiment does not have yet; returns how many were new.

    A store that does not take them is named on the standard output: traces show what stands in the data anyway.

    Args:
        rubrics: id of a task → its rubric as JSON.
        judge: the language model that gave the rows' `llm_verdict`.
    """
    try:
        return _log_traces(root, rows, rubrics, judge)
    except store_errors() as error:
        print(f"mlflow: {reason(error)}; no traces are shown", flush=True)
        return 0


def _log_traces(root: Path, rows: Sequence[Row], rubrics: Mapping[str, str], judge: str) -> int:
    mlflow.set_tracking_uri(tracking_uri(root))
    client, experiment = MlflowClient(), experiment_id(root)
    new: dict[str, Row] = {}
    for row in rows:
        identity = fingerprint([row["traj_id"], row["messages"], row["verdict"]])
        wanted = f"tag.trajectory = '{identity}'"
        if client.search_traces([experiment], wanted, max_results=1, include_spans=False):
            continue
        new[_log(row, identity, experiment)] = row
    if new:
        mlflow.flush_trace_async_logging()
        for trace_id, row in new.items():
            _assess(trace_id, row, json.loads(rubrics.get(row["task_id"], "{}")), judge)
        _evaluate(root, [client.get_trace(trace_id) for trace_id in new])
    return len(new)


def _assess(trace_id: str, row: Row, rubric: Any, judge: str) -> None:
    """What the stage itself decided: by its rules, and by a language model where one read the conversation."""
    by_rule = AssessmentSource("CODE", "stages.trajectories")
    if rubric:
        mlflow.log_expectation(trace_id=trace_id, name="rubric", value=rubric, source=by_rule)
    read = bool(row["llm_verdict"])  # by a language model, after the rules had let it pass
    verdict = (True, "success: every rule holds") if read else (bool(row["kept"]), f"{row['verdict']}: {row['reason']}")
    mlflow.log_feedback(trace_id=trace_id, name="judge", value=verdict[0], rationale=verdict[1], source=by_rule)
    if read:
        mlflow.log_feedback(
            trace_id=trace_id,
            name="llm_judge",
            value=row["llm_verdict"] == "success",
            rationale=f"{row['llm_verdict']}: {row['llm_reason']}",
            source=AssessmentSource("LLM_JUDGE", judge),
        )


def _evaluate(root: Path, traces: list[Any]) -> None:
    """Scores the traces under the active run; what MLflow prints of it for a person at a prompt is left out."""
    from stages.tracking.scorers import SCORERS  # with MLflow's evaluation, which takes a second

    with running(root, "traces"), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        mlflow.genai.evaluate(data=traces, scorers=SCORERS)


def _log(row: Row, identity: str, experiment: str) -> str:
    """Logs one trace; returns its id."""
    messages: list[dict[str, Any]] = json.loads(row["messages"])
    asked = next(message["content"] for message in messages if message["role"] == "user")
    clock = _Clock()
    root = mlflow.start_span_no_context(
        row["traj_id"],
        span_type=SpanType.AGENT,
        inputs={"user": asked},
        attributes={key: row[key] for key in ("agent_id", "domain", "task_id", "source", "state_hash")}
        | {"tools": json.loads(row["tools"])},
        tags={"trajectory": identity, "verdict": row["verdict"], "domain": row["domain"]},
        start_time_ns=clock.tick(),
        experiment_id=experiment,
    )
    results = {message["tool_call_id"]: message for message in messages if message["role"] == "tool"}
    heard: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] != "assistant":
            heard.append(message)
            continue
        turn = mlflow.start_span_no_context(
            "turn", SpanType.LLM, root, inputs={"messages": heard}, start_time_ns=clock.tick()
        )
        turn.end(outputs=message, end_time_ns=clock.tick())
        for call in message.get("tool_calls") or []:
            _call(root, call, results.get(call["id"]), clock)
        heard = []
    root.end(outputs={"assistant": messages[-1].get("content", "")}, end_time_ns=clock.tick())
    return str(root.trace_id)


def _call(root: Any, call: Mapping[str, Any], result: Mapping[str, Any] | None, clock: "_Clock") -> None:
    function = call["function"]
    span = mlflow.start_span_no_context(
        function["name"], SpanType.TOOL, root, inputs={"arguments": function["arguments"]}, start_time_ns=clock.tick()
    )
    span.end(outputs={"result": None if result is None else result["content"]}, end_time_ns=clock.tick())


class _Clock:
    def __init__(self) -> None:
        self.now = time.time_ns()

    def tick(self) -> int:
        self.now += TURN_NS
        return self.now
