"""What a shard holds of a conversation: its row of trajectories.parquet and that of its task in tasks.parquet."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from agents.coding.sessions import CodingTrajectory
from agents.conversations.trajectory import Trajectory
from stages.harness.tables import TASKS, TRAJECTORIES

Row = dict[str, Any]
WRITTEN: Mapping[str, Any] = {"messages": [], "tools": [], "rubric": {}, "gold": [], "kinds": []}  # as JSON
USUAL: Mapping[str, Any] = {"persona": "plain", "wording": "script"}


def whole(name: str, trajectory: Mapping[str, Any], task: Mapping[str, Any]) -> Row:
    """Both rows with every column; what is not given is empty.

    Args:
        name: the ids of both, unless they give their own.
    """
    return {
        "trajectory": _whole(TRAJECTORIES, {"traj_id": name, "task_id": name} | dict(trajectory)),
        "task": _whole(TASKS, {"task_id": name} | dict(task)),
    }


def ended(done: Trajectory | CodingTrajectory) -> Row:
    """What a conversation that has ended, at a desk or in a sandbox, leaves in its row."""
    return {
        "messages": done.messages,
        "tools": done.tools,
        "state_hash": done.state_hash,
        "verdict": done.verdict.verdict,
        "reason": done.verdict.reason,
        "kept": done.verdict.kept,
        "n_turns": done.n_turns,
        "n_calls": done.n_calls,
    }


def _whole(schema: pa.Schema, given: Mapping[str, Any]) -> Row:
    if unknown := given.keys() - set(schema.names):
        raise ValueError(f"no columns {', '.join(sorted(unknown))}")
    row: Row = {}
    for column in schema:
        if column.name in WRITTEN:
            row[column.name] = json.dumps(given.get(column.name, WRITTEN[column.name]), ensure_ascii=False)
        else:
            empty = "" if pa.types.is_string(column.type) else False if pa.types.is_boolean(column.type) else 0
            row[column.name] = given.get(column.name, USUAL.get(column.name, empty))
    return row
