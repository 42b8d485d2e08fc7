"""Files of the user as dependencies of stages: as DVC, preflight and an experiment meet them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from stages.dial import Params, load_params, merge, parse_params
from stages.harness import declared
from stages.harness.errors import InputError
from stages.harness.inputs import FOLDER, InputPath
from stages.inputs import outside_paths
from tests.conftest import ROOT, make_checkout

Run = Callable[..., "subprocess.CompletedProcess[str]"]
DVC = (sys.executable, "-m", "dvc")
PATHLIKE = re.compile(r"(^|_)(path|data|folder|file|repo|repository|weights|checkpoint|teacher|judge)(s|ies)?$")
NO_PATHS = ("CriticParams.judge",)  # the policy itself or a URL
TEXTS = [" ".join(f"word{k * j % 97}" for k in range(60)) for j in range(1, 13)]


def _strings(value: Any, key: str = "params") -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _strings(getattr(value, name), f"{key}.{name}")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item, key)
    elif isinstance(value, str):
        yield key, value


def _sizes() -> list[Params]:
    default = yaml.safe_load((ROOT / "params.yaml").read_text())
    sizes = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "sizes").glob("*.yaml"))]
    return [parse_params(merge(default, size)) for size in ({}, *sizes)]


def test_a_parameter_that_is_a_path_has_the_type_of_one() -> None:
    for params in _sizes():
        for key, text in _strings(params):
            if not isinstance(text, InputPath):
                assert not (text and (ROOT / text).exists()), f"{key}: {text} exists, so its type must be an InputPath"


def _fields(model: type[BaseModel], name: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    schema = model.model_json_schema()
    for title, part in [(name, schema), *schema.get("$defs", {}).items()]:
        for field, value in part.get("properties", {}).items():
            yield f"{title}.{field}", value, schema


def test_a_parameter_that_is_called_like_a_path_has_the_type_of_one() -> None:
    for key, value, _ in _fields(Params, "Params"):
        text = json.dumps(value)
        if key not in NO_PATHS and PATHLIKE.search(key.rpartition(".")[2]) and '"string"' in text:
            assert '"format": "path"' in text, key


def test_a_stage_depends_on_its_hashes_exactly_when_its_section_can_name_a_path() -> None:
    for name, wants in declared.graph(ROOT / "dvc.yaml").items():
        models = [Params.model_fields[section].annotation for section in wants.sections if "." not in section]
        sections = [model for model in models if isinstance(model, type) and issubclass(model, BaseModel)]
        named = [model for model in models if isinstance(model, type) and issubclass(model, InputPath)]
        can = bool(named) or any('"format": "path"' in json.dumps(model.model_json_schema()) for model in sections)
        assert (FOLDER / f"{name}.json" in wants.data) == can, name


def test_what_the_pipeline_makes_is_left_to_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert not any(outside_paths(load_params()).values())
    value = yaml.safe_load(Path("params.yaml").read_text())
    value["rephrase"]["teacher"] = "models/sft"
    with pytest.raises(
        InputError, match=r"^rephrase\.teacher: models/sft: made by the stage sft, which rephrase doesn't"
    ):
        outside_paths(parse_params(value))


@pytest.mark.parametrize(
    ("section", "change", "key"),
    [
        (
            "evaluate",
            {"benchmarks": [{"name": "mmlu", "items": 1, "max_tokens": 1, "data": "gone"}]},
            "benchmarks.0.data",
        ),
        ("evaluate", {"arena": {"players": {"a": "gone/a", "b": "models/qat"}}}, "arena.players.a"),
        ("rephrase", {"teacher": "gone/model"}, "teacher"),
        ("rephrase", {"tokenizer": "gone/tokenizer"}, "tokenizer"),
        ("corpus", {"paths": ["params.yaml", "gone"]}, "paths.1"),
    ],
)
def test_a_path_of_any_section_that_is_missing_names_its_key(
    monkeypatch: pytest.MonkeyPatch, section: str, change: dict[str, Any], key: str
) -> None:
    monkeypatch.chdir(ROOT)
    value = merge(yaml.safe_load(Path("params.yaml").read_text()), {section: change})
    with pytest.raises(InputError, match=rf"^{section}\.{re.escape(key)}: gone.*: not found$"):
        outside_paths(parse_params(value))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, run_in: Run) -> Path:
    folder = make_checkout(tmp_path_factory.mktemp("inputs") / "checkout")
    (folder / "dvc.lock").unlink(missing_ok=True)
    run_in(folder, sys.executable, "-m", "stages.dial", "--size", "smoke", "--write")
    _write(folder, TEXTS)
    _set(folder, ["mine/a.jsonl"])
    return folder


def _write(folder: Path, texts: list[str]) -> None:
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def _set(folder: Path, paths: list[str]) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["corpus"] |= {"sources": [], "paths": paths, "validation_fraction": 0.3}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _executed(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


@pytest.mark.slow
def test_a_file_of_the_user_that_changed_runs_its_stage_again(checkout: Path, run_in: Run) -> None:
    assert _executed(run_in(checkout, *DVC, "repro", "corpus").stdout) == ["inputs", "corpus"]
    assert _executed(run_in(checkout, *DVC, "repro", "corpus").stdout) == ["inputs"]
    (checkout / "mine" / "a.jsonl").touch()
    assert _executed(run_in(checkout, *DVC, "repro", "corpus").stdout) == ["inputs"]
    status = json.loads(run_in(checkout, *DVC, "status", "--json", "inputs", "corpus").stdout)
    assert status == {"inputs": ["always changed"]}
    _write(checkout, TEXTS[:-1])
    assert _executed(run_in(checkout, *DVC, "repro", "corpus").stdout) == ["inputs", "corpus"]
    assert json.loads((checkout / "metrics" / "corpus.json").read_text())["documents"] == len(TEXTS) - 1


@pytest.mark.slow
def test_a_missing_path_is_one_line_before_anything_runs(checkout: Path, run_in: Run) -> None:
    _set(checkout, ["mine/a.jsonl", "mine/gone.txt"])
    try:
        for module in ("stages.preflight", "stages.inputs"):
            failed = run_in(checkout, sys.executable, "-m", module, check=False)
            assert failed.returncode == 2
            assert failed.stderr.removeprefix("inputs: ") == "corpus.paths.1: mine/gone.txt: not found\n"
    finally:
        _set(checkout, ["mine/a.jsonl"])


@pytest.mark.slow
def test_an_experiment_takes_an_absolute_path_and_names_one_that_git_does_not_track(
    checkout: Path, run_in: Run
) -> None:
    experiment = (sys.executable, "-m", "flows.experiment", "--target", "corpus", "--set", "corpus.min_chars=81")
    failed = run_in(checkout, *experiment, check=False)
    assert failed.returncode == 1
    (line,) = [line for line in failed.stderr.splitlines() if line]
    assert "mine/a.jsonl: not found; an experiment runs in a copy of what git tracks: write the absolute path" in line
    absolute = f"corpus.paths=[{checkout / 'mine' / 'a.jsonl'}]"
    ran = run_in(checkout, *experiment, "--set", absolute)
    assert _executed(ran.stdout) == ["inputs", "corpus"]
