"""Official SWE-bench instances (JSON Lines or parquet in the official schema) in containers, by the package `swebench`.

The agent works in the instance's own container, without network and with a history of one commit; its patch is the
difference to that commit. The patch is graded by the official harness (`swebench.harness.run_evaluation`), which starts
a container of its own, by the same engine, docker or podman. The harness has many dependencies, so it may live in a
virtual environment of its own: `.swebench` in the working directory
(python -m venv .swebench; .swebench/bin/pip install swebench==5.0.2).
"""

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gym.benchmarks import base
from gym.benchmarks.base import Benchmark, DataError, Episode, Grade, Manifest, Reply, Sample
from gym.benchmarks.swe_bench import AGENT_PRESETS, SYSTEM, Agent, best_by_verifier
from gym.benchmarks.swe_container import FOLDER, container_copy
from gym.benchmarks.swe_engine import Engine, engines, last_line, working
from gym.sandbox import SandboxError
from gym.verifiers.result import Result, Status

FIELDS = ("instance_id", "repo", "base_commit", "patch", "test_patch", "problem_statement", "version",
          "FAIL_TO_PASS", "PASS_TO_PASS", "image", "log_parser", "eval_type", "eval_script")  # fmt: skip
HARNESS_S = 1800
FAULTS = {
    ">>>>> Patch Apply Failed": "the patch does not apply",
    "Test timed out after": "the tests did not end in time",
}
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


def official_report(engine: Engine, data: Path, row: Mapping[str, Any], patch: str, work: Path) -> dict[str, Any]:
    """What the official harness says about one patch: `resolved`, whether it applied, and each test's status.

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
        with engine.socket() as variables:
            done = subprocess.run(
                command,
                cwd=work,
                capture_output=True,
                text=True,
                timeout=2 * HARNESS_S,
                env={**os.environ, **variables},
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"swebench: {error}") from None
    logs = work / "logs/run_evaluation" / run_id / MODEL / name
    if (logs / "report.json").exists():
        result: dict[str, Any] = json.loads((logs / "report.json").read_text(encoding="utf-8"))[name]
        return result
    # No report on a patch that doesn't apply, or whose tests don't end: the harness counts both as not resolved.
    said = (logs / "run_instance.log").read_text(encoding="utf-8") if (logs / "run_instance.log").exists() else ""
    for sign, reason in FAULTS.items():
        if sign in said:
            return {"resolved": False, "patch_successfully_applied": False, "infra_failure_reason": reason}
    raise SandboxError(f"swebench, {name}: {_problem(said) or last_line(done)}")


def _problem(log: str) -> str:
    """The last error that the harness wrote down about an instance."""
    found = [line for line in log.splitlines() if " - ERROR - " in line]
    return found[-1].partition(" - ERROR - ")[2] if found else ""


class OfficialSwe(Benchmark):
    """The user's official instances.

    Raises:
        DataError: no path, neither docker nor podman, no harness, or rows that aren't in the official schema.
    """

    presets = AGENT_PRESETS
    agent: Agent | None = None

    def __init__(self, name: str, path: Path | None) -> None:
        super().__init__()
        if path is None:
            raise DataError(f"{name}: needs its official instances by a path; repairs_python runs without them")
        self.name, self.path = name, path
        self.rows = {str(row["instance_id"]): row for row in read_instances(path)}
        self.work = Path("work/evaluations/swebench")
        try:
            self._engines = engines(self.work)
        except SandboxError as error:
            raise DataError(f"official SWE-bench instances need docker or podman: {error}") from None
        harness_python()
        self.manifest: Manifest = base.path_manifest(name, path, len(self.rows))

    def items(self) -> list[Sample]:
        system = {"role": "system", "content": SYSTEM.replace("/workspace", FOLDER)}
        return [
            Sample(name, (system, *base.user(str(row["problem_statement"]))), {"instance_id": name}, group=row["repo"])
            for name, row in self.rows.items()
        ]

    def engine(self, image: str) -> Engine:
        """What runs containers: the first that starts one stays.

        Raises:
            SandboxError: none starts one of this image.
        """
        if len(self._engines) > 1:
            self._engines = [working(self._engines, image)]
        return self._engines[0]

    def episode(self, sample: Sample) -> Episode:
        if self.agent is None:
            raise DataError(f"{self.name}: no agent works on the repository")
        image = str(self.rows[sample.id]["image"])
        try:
            with container_copy(self.engine(image), image) as copy:
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
            engine = self.engine(str(self.rows[name]["image"]))
            report = official_report(engine, self.path, self.rows[name], patch, self.work)
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
