"""What an RL run leaves behind: a row for each finished rollout, a summary of each iteration."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gym.verifiers.result import Result, Status
from k2model.chat.tokenizer import K2Tokenizer
from stages.harness.tables import ROLLOUTS, read_table, write_table
from stages.rl.rewards import Parts
from stages.rl.rollout import Rollout
from stages.rl.rubrics import violations
from stages.rl.sampling import Finished
from stages.rl.update import UpdateReport

Row = dict[str, Any]


class RolloutFiles:
    """A parquet file for each iteration in `folder`; one that runs again replaces its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, iteration: int, rows: Sequence[Row]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_table(self._file(iteration), rows, ROLLOUTS)

    def read(self, iterations: int) -> list[Row]:
        """The rows of the first so many iterations, in order."""
        return [row for number in range(iterations) for row in read_table(self._file(number), ROLLOUTS).to_pylist()]

    def _file(self, iteration: int) -> Path:
        return self.folder / f"{iteration:06d}.parquet"


def rows(
    group: Finished, parts: Sequence[Parts], tokenizer: K2Tokenizer, *, iteration: int, temperature: float
) -> list[Row]:
    """A row for each rollout of a group."""
    question = json.dumps([dict(message) for message in group.task.messages], ensure_ascii=False)
    of_the_group = {
        "iteration": iteration,
        "taskset": group.family,
        "task_id": group.task.id,
        "question": question,
        "temperature": temperature,
    }
    rollouts = zip(group.rollouts, parts, group.verdicts, group.answers, strict=True)
    return [of_the_group | _row(*own, tokenizer) for own in rollouts]


def _row(rollout: Rollout, parts: Parts, verdict: Result, answer: str, tokenizer: K2Tokenizer) -> Row:
    logprobs = [value for value, own in zip(rollout.logprobs, rollout.sampled, strict=True) if own]
    ids = [token for token, own in zip(rollout.tokens, rollout.sampled, strict=True) if own]
    return {
        "key": rollout.key,
        "text": tokenizer.decode(ids),
        "tokens": rollout.spent,
        "surprise": -float(np.mean(logprobs)) if logprobs else 0.0,
        "stop": rollout.stop,
        "score": verdict.score,
        "status": verdict.status.value,
        "reason": verdict.reason,
        "hacked": bool(violations(answer)),
        **parts.record(),
    }


def summary(rollouts: Sequence[Row], reports: Sequence[UpdateReport], families: Sequence[str]) -> dict[str, float]:
    """Means over an iteration's finished rollouts and its optimizer steps; statuses are counted apart."""
    measures: dict[str, float] = {}
    if rollouts:
        measures |= {
            "reward": float(np.mean([row["reward"] for row in rollouts])),
            "length": float(np.mean([row["tokens"] for row in rollouts])),
            "surprise": float(np.mean([row["surprise"] for row in rollouts])),
            "truncated": float(np.mean([row["stop"] != "done" for row in rollouts])),
            "loops": float(np.mean([row["reward_repeat"] < 0 for row in rollouts])),
            "hacked": float(np.mean([row["hacked"] for row in rollouts])),
            "verifier_errors": float(sum(row["status"] == Status.VERIFIER_ERROR.value for row in rollouts)),
            "timeouts": float(sum(row["status"] == Status.TIMEOUT.value for row in rollouts)),
            "stopped_programs": float(sum("_limit" in row["reason"] for row in rollouts)),
        }
    for family in families:
        scores = [row["score"] for row in rollouts if row["taskset"] == family and row["score"] is not None]
        if scores:
            measures[f"sampled_success_{family}"] = float(np.mean(scores))
    if reports:
        measures |= {
            "loss": float(np.mean([report.loss for report in reports])),
            "mismatch": reports[0].mismatch,
            "log_ratio": reports[-1].log_ratio,
            "max_logit": max(report.max_logit for report in reports),
        }
    return measures
