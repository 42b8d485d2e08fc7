import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages.dial import load_params, merge, parse_params
from stages.harness.errors import InputError

ROOT = Path(__file__).parents[2]


def _default() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def test_the_checked_in_file_is_valid_at_every_size() -> None:
    default = load_params(ROOT / "params.yaml")
    assert default.model == "laptop"
    for size in sorted((ROOT / "sizes").glob("*.yaml")):
        parse_params(merge(_default(), yaml.safe_load(size.read_text())), size)


def test_parameters_are_checked_without_what_takes_long_to_import() -> None:
    code = "import sys, stages.dial; print(sorted({'torch', 'mlflow', 'transformers'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_typo_is_named_before_the_key_it_hides() -> None:
    value = _default()
    value["pretrain"]["stepz"] = value["pretrain"].pop("steps")
    with pytest.raises(InputError, match=r"^params\.yaml: pretrain\.stepz: unknown key$"):
        parse_params(value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("pretrain", "steps", "150"), ("pretrain", "steps", 1.5), ("corpus", "validation_fraction", 1.0)],
)
def test_a_wrong_type_or_value_names_the_key(section: str, key: str, value: object) -> None:
    params = _default()
    params[section][key] = value
    with pytest.raises(InputError, match=rf"params\.yaml: {section}\.{key}: .*got {value!r}") as caught:
        parse_params(params)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model: .*'gpt'"):
        parse_params(_default() | {"model": "gpt"})
    with pytest.raises(InputError, match="not found"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="not YAML") as caught:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("seed: 0\nsft:\n  steps: 48\n  lr: 0.1\n  steps: 49\n")
    with pytest.raises(InputError, match=r"params.yaml: not YAML: steps stands twice .*line 5") as caught:
        load_params(path)
    assert "\n" not in str(caught.value)
    path.write_text("sft:\n  steps: 48\nrl:\n  steps: 49\nlist:\n  - {a: 1}\n  - {a: 2}\n")
    with pytest.raises(InputError, match="unknown key|missing"):
        load_params(path)


def test_numbers_without_end() -> None:
    params = _default()
    params["sft"] = params["sft"] | {"lr": float("inf")}
    with pytest.raises(InputError, match=r"sft\.lr: Input should be a finite number"):
        parse_params(params)


@pytest.mark.parametrize(
    ("families", "message"),
    [
        (["chess"], r"tasks: .*families: no family 'chess'"),
        ([], r"tasks\.families: "),
        (["parity", "compare"], r"rl: .*ptx_demonstrations: 'compare' is one of tasks\.families"),
        (["instructions"], r"qat: .*tasks\.families: qat needs an elementary one"),
    ],
)
def test_families_stand_once_and_suit_every_stage_that_takes_them(families: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_params(_default() | {"tasks": {"families": families, "difficulty": 0.0}})
    assert "\n" not in str(caught.value)
    parse_params(_default() | {"tasks": {"families": ["instructions", "parity"], "difficulty": 0.5}})
