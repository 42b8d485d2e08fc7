"""MLflow's model registry: every evaluated checkpoint is a version with a signature and its lineage.

The alias `candidate` is the newest version, `champion` the last one that the gate of params.yaml let through.
"""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LoggedModelStatus, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models.signature import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.utils.time import get_current_time_millis

from stages.harness.declared import declared, stage_names
from stages.harness.errors import InputError
from stages.tracking.dvc_store import digest, locked, refer
from stages.tracking.gate import GateParams, judge
from stages.tracking.store import experiment_id, identity, reason, running, store_errors, tracking_uri

NAME = "k2"
CHECKPOINT = "models/qat"
for noisy in ("mlflow.pyfunc", "mlflow.models.model", "mlflow.tracking._model_registry.fluent", "mlflow.utils"):
    logging.getLogger(noisy).setLevel(logging.ERROR)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "prompt")]),
    outputs=Schema([ColSpec(DataType.string, "completion")]),
    params=ParamSchema(
        [
            ParamSpec("max_tokens", DataType.long, 64),
            ParamSpec("temperature", DataType.double, 0.0),
            ParamSpec("seed", DataType.long, 0),
        ]
    ),
)


@dataclass(frozen=True)
class Version:
    """One version as `k2 models` lists it; `scores` are those of the gate's metrics."""

    number: int
    aliases: tuple[str, ...]
    checkpoint: str
    commit: str
    scores: dict[str, float]
    broken: tuple[str, ...]


def all_scores(root: Path) -> dict[str, float]:
    """metrics/scores.json as it is, the other stages' metrics as `<stage>/<key>`."""
    scores: dict[str, float] = {}
    for path in sorted((root / "metrics").glob("*.json")):
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        prefix = "" if path.stem == "scores" else f"{path.stem}/"
        scores |= {f"{prefix}{key}": float(score) for key, score in value.items() if isinstance(score, (int, float))}
    return scores


def _runs(client: MlflowClient, root: Path) -> dict[str, str]:
    """`run.<stage>` → the last finished MLflow run that made exactly what stands in the checkout."""
    tags = {}
    for stage in stage_names(root / "dvc.yaml"):
        outs = [path for path in declared(stage, root / "dvc.yaml").outs if (root / path).exists()]
        if not outs:
            continue
        wanted = f"tags.`out.{outs[0].as_posix()}` = '{digest(root / outs[0])}' and attributes.status = 'FINISHED'"
        runs = client.search_runs([experiment_id(root)], wanted, max_results=1)
        if runs:
            tags[f"run.{stage}"] = str(runs[0].info.run_id)
    return tags


def _lineage(client: MlflowClient, root: Path) -> dict[str, str]:
    tags = identity(root) | _runs(client, root)
    return tags | {f"dvc.{path}": md5 for path, md5 in locked(root).items() if path.startswith(("data/", "models/"))}


def _find(client: MlflowClient, **tags: str) -> ModelVersion | None:
    wanted = " and ".join([f"name = '{NAME}'", *(f"tags.{key} = '{value}'" for key, value in tags.items())])
    matches = client.search_model_versions(wanted)
    return max(matches, key=lambda version: int(version.version)) if matches else None


def _log(client: MlflowClient, root: Path, scores: Mapping[str, float], run_id: str) -> str:
    """Logs the model under the run; returns its id."""
    checkpoint = refer(root, CHECKPOINT, "manifest.json")
    with warnings.catch_warnings():  # it asks for an input example
        warnings.simplefilter("ignore")
        info = mlflow.pyfunc.log_model(
            name=NAME,
            python_model=str(Path(__file__).with_name("registered_model.py")),
            model_config={"checkpoint": asdict(checkpoint)},
            signature=SIGNATURE,
            pip_requirements=["k2-pipeline"],
            tags={"checkpoint": checkpoint.sha256, "dvc": checkpoint.dvc},
        )
    now = get_current_time_millis()
    points = [
        Metric(key, value, now, 0, model_id=info.model_id, run_id=run_id) for key, value in sorted(scores.items())
    ]
    for start in range(0, len(points), 500):
        client.log_batch(run_id, metrics=points[start : start + 500])
    client.finalize_logged_model(info.model_id, LoggedModelStatus.READY)
    return str(info.model_id)


def _client(root: Path) -> MlflowClient:
    mlflow.set_tracking_uri(tracking_uri(root))
    client = MlflowClient()
    try:
        client.get_registered_model(NAME)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(NAME, description="Checkpoints of the pipeline, by reference to DVC")
    return client


def register(root: Path, gate: GateParams) -> tuple[int, bool]:
    """Makes the checkout's checkpoint a version, or finds the version that it is; scores are brought up to date.

    A new version is logged under the active run, else under one of its own.

    Returns:
        Its number, and whether it is new.
    """
    client = _client(root)
    scores = all_scores(root)
    checkpoint = digest(root / CHECKPOINT)
    version = _find(client, checkpoint=checkpoint)
    new = version is None
    if version is None:
        with running(root, "register") as run_id:
            model_id = _log(client, root, scores, run_id)
        tags = {"checkpoint": checkpoint} | _lineage(client, root)
        version = client.create_model_version(NAME, f"models:/{model_id}", tags=tags, model_id=model_id)
        client.set_registered_model_alias(NAME, "candidate", version.version)
    for rule in gate.rules:
        if rule.metric in scores:
            client.set_model_version_tag(NAME, version.version, f"score.{rule.metric}", repr(scores[rule.metric]))
    return int(version.version), new


def _scores(version: ModelVersion) -> dict[str, float]:
    prefix = "score."
    return {key.removeprefix(prefix): float(text) for key, text in version.tags.items() if key.startswith(prefix)}


def _alias(client: MlflowClient, alias: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(NAME, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def promote(root: Path, gate: GateParams, number: int | None = None) -> tuple[int, list[str]]:
    """Makes a version (the candidate by default) the champion if the gate holds.

    Returns:
        Its number, and the rules that it breaks; the verdict stands in the version's tag `gate`, too.

    Raises:
        InputError: there is no such version.
    """
    client = _client(root)
    wanted = _alias(client, "candidate") if number is None else None
    if number is not None:
        try:
            wanted = client.get_model_version(NAME, str(number))
        except MlflowException:
            wanted = None
    if wanted is None:
        raise InputError(f"model {NAME}: no {'candidate' if number is None else f'version {number}'}")
    champion = _alias(client, "champion")
    other = champion if champion is not None and champion.version != wanted.version else None
    broken = judge(gate, _scores(wanted), None if other is None else _scores(other))
    client.set_model_version_tag(NAME, wanted.version, "gate", "; ".join(broken) or "holds")
    if not broken:
        client.set_registered_model_alias(NAME, "champion", wanted.version)
    return int(wanted.version), broken


def versions(root: Path) -> list[Version]:
    """Every version, newest first."""
    client = _client(root)
    aliases: dict[str, list[str]] = {}
    for alias, number in client.get_registered_model(NAME).aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    registered = []
    for version in client.search_model_versions(f"name = '{NAME}'"):
        verdict = version.tags.get("gate", "not judged")
        broken = () if verdict == "holds" else tuple(verdict.split("; "))
        mine = tuple(sorted(aliases.get(str(version.version), [])))
        registered.append(
            Version(
                int(version.version),
                mine,
                version.tags["checkpoint"],
                version.tags.get("git.commit", ""),
                _scores(version),
                broken,
            )
        )
    return sorted(registered, key=lambda version: -version.number)


def verdict_line(number: int, broken: Sequence[str]) -> str:
    """The line about a version that was judged."""
    if broken:
        return f"model k2 version {number}: candidate, not champion: {'; '.join(broken)}"
    return f"model k2 version {number}: champion, the gate holds"


def register_and_judge(root: Path, gate: GateParams) -> str:
    """Registers the checkout's checkpoint and judges it; returns the line to print."""
    try:
        number, _ = register(root, gate)
        return verdict_line(*promote(root, gate, number))
    except store_errors() as error:
        return f"model k2: not registered: {reason(error)}; k2 models --promote does it later"
