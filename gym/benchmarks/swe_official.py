"""Official SWE-bench instances (JSON Lines or parquet in the official schema) by Docker and the package `swebench`.

The agent works in the instance's own container, without network and with a history of one commit; its patch is the
difference to that commit. The patch is graded by the official harness (`swebench.harness.run_evaluation`), which starts
a container of its own. The harness has many dependencies, so it may live in a virtual environment of its own:
`.swebench` in the working directory (python -m venv .swebench; .swebench/bin/pip install swebench==5.0.2).
"""

import importlib.util
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.benchmarks.swe_bench import AGENT_PRESETS, SYSTEM, Agent, best_by_verifier
from gym.benchmarks.swe_container import FOLDER, container_copy, docker
from gym.sandbox import SandboxError
from gym.verifiers.result import Result, Status

FIELDS = ("instance_id", "repo", "base_commit", "patch", "test_patch", "problem_statement", "version",
          "FAIL_TO_PASS", "PASS_TO_PASS", "image", "log_parser", "eval_type", "eval_script")  # fmt: skip
HARNESS_S = 1800
MODEL = "k2-pipeline"


def read_instances(path: Path) -> list[dict[str, Any]]:
    """Rows of the official schema (swebench 5).

    Raises:
        DataError: unreadable, or a field is missing.
    """
    rows = base.read_parquet(path) if path.suffix == ".parquet" else base.read_jsonl(path)
    for number, row in enumerate(rows):
        base.missing(row, FIELDS, f"{path}: row {number}")
    return rows


def harness_python() -> str:
    """The Python that has the whole package `swebench`.

    Raises:
        DataError: there is none.
    """
    own = Path(".swebench/bin/python")
    if own.exists():
        return str(own.absolute())
    if importlib.util.find_spec("swebench") is not None and importlib.util.find_spec("modal") is not None:
        return sys.executable
    raise DataError(
        "official SWE-bench instances need the package swebench with its dependencies: "
        "python -m venv .swebench && .swebench/bin/pip install swebench==5.0.2"
    )


def neededdocker() -> None:
    """Raises DataError where no Docker daemon answers."""
    try:
        done = docker("info", timeout=30)
    except (SandboxError, subprocess.TimeoutExpired) as error:
        raise DataError(f"official SWE-bench instances need Docker: {error}") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no daemon answers"]
        raise DataError(f"official SWE-bench instances need Docker: {lines[-1]}")


def official_report(data: Path, row: Mapping[str, Any], patch: str, work: Path) -> dict[str, Any]:
    """What the official harness says about one patch: `resolved`, and each test's status.

    Raises:
        SandboxError: the harness gave no report.
    """
    work.mkdir(parents=True, exist_ok=True)
    name, run_id = str(row["instance_id"]), f"run-{uuid.uuid4().hex[:8]}"
    predictions = work / f"{run_id}.jsonl"
    prediction = {"instance_id": name, "model_name_or_path": MODEL, "model_patch": patch}
    predictions.write_text(json.dumps(prediction) + "\n", encoding="utf-8")
    command = [harness_python(), "-m", "swebench.harness.run_evaluation", "-d", str(data.absolute()), "-i", name]
    command += ["-p", str(predictions.absolute()), "--max_workers", "1", "-id", run_id, "-t", str(HARNESS_S)]
    try:
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=2 * HARNESS_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"swebench: {error}") from None
    report = work / "logs/run_evaluation" / run_id / MODEL / name / "report.json"
    if done.returncode or not report.exists():
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no report"]
        raise SandboxError(f"swebench, {name}: {lines[-1]}")
    result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))[name]
    return result


class OfficialSwe(Benchmark):
    """The user's official instances.

    Raises:
        DataError: no path, no Docker, no harness, or rows that aren't in the official schema.
    """

    presets = AGENT_PRESETS
    agent: Agent | None = None

    def __init__(self, name: str, path: Path | None) -> None:
        super().__init__()
        if path is None:
            raise DataError(f"{name}: needs its official instances by a path; repairs_python runs without them")
        self.name, self.path = name, path
        self.rows = {str(row["instance_id"]): row for row in read_instances(path)}
        neededdocker()
        harness_python()
        self.manifest: Manifest = base.path_manifest(name, path, len(self.rows))
        self.work = Path("work/evaluations/swebench")

    def items(self) -> list[Sample]:
        system = {"role": "system", "content": SYSTEM.replace("/workspace", FOLDER)}
        return [
            Sample(name, (system, *base.user(str(row["problem_statement"]))), {"instance_id": name}, group=row["repo"])
            for name, row in self.rows.items()
        ]

    def episode(self, sample: Sample) -> Episode:
        if self.agent is None:
            raise DataError(f"{self.name}: no agent works on the repository")
        try:
            with container_copy(str(self.rows[sample.id]["image"])) as copy:
                stop, steps = yield from self.agent(sample.messages, copy)
                patch = "" if stop == "infrastructure" else copy.patch()
        except SandboxError as error:
            return Grade(Result(None, Status.VERIFIER_ERROR, str(error)))
        if stop == "infrastructure":
            return Grade(Result(None, Status.VERIFIER_ERROR, "the container failed"), "", {"steps": float(steps)})
        return self.grade_patch(sample.id, patch, steps=float(steps))

    def grade(self, sample: Sample, reply: Reply) -> Grade:
        """The official verdict on a patch."""
        return self.grade_patch(sample.id, reply.text)

    def grade_patch(self, name: str, patch: str, **parts: float) -> Grade:
        if not patch.strip():
            return base.no_answer("empty patch", **parts)
        try:
            report = official_report(self.path, self.rows[name], patch, self.work)
        except SandboxError as error:
            return Grade(Result(None, Status.VERIFIER_ERROR, str(error)), patch, parts)
        reason = "resolved" if report["resolved"] else "not resolved"
        if not report["patch_successfully_applied"]:
            reason = str(report.get("infra_failure_reason", "the patch does not apply, or no test ran"))
        return base.scored(bool(report["resolved"]), patch, reason, **parts)

    def gold_reply(self, sample: Sample) -> Reply:
        return Reply(str(self.rows[sample.id]["patch"]))

    def summary(self, rows: Any) -> dict[str, float]:
        return best_by_verifier(rows)
