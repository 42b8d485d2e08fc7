"""`params.yaml` for one stage: the base of its sections, what all stages share, and the reading of one section."""

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.chat.redact import public, redact
from gym.yaml_text import load_yaml_text
from stages.harness.errors import InputError
from stages.harness.inputs import ModelSpec

PARAMS = Path("params.yaml")


class Section(BaseModel):
    """Unknown keys are refused and types are not coerced, so that a typo can't train a model."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Common(Section):
    """What stands above the sections: every stage sees it.

    base: the model that training starts from: embedded, scratch, a folder, or a GGUF file. model: the preset of a
    scratch one. runner: where streams of data are worked on, `native` or `ray://HOST:PORT`; what comes out is the same.
    traces: trajectories that are shown as MLflow traces.
    """

    seed: int = Field(ge=0)
    base: ModelSpec = Field(min_length=1)
    model: Literal["smoke", "laptop", "h100", "moonlight-16b", "k2", "k2-thinking"]
    threads: int = Field(ge=1)
    runner: str = Field(pattern=r"^(native|ray://\S+)$")
    traces: int = Field(ge=0)


S = TypeVar("S", bound=BaseModel)


def load_yaml(path: Path = PARAMS) -> Any:
    """The value of a YAML file.

    Raises:
        InputError: the file is missing or isn't YAML.
    """
    if not path.exists():
        raise InputError(f"{path}: not found; run from the root of the checkout")
    try:
        return load_yaml_text(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def validate(model: type[S], value: Any, path: Path = PARAMS, prefix: str = "") -> S:
    """`value` as `model`.

    Args:
        prefix: where `value` stands in the file, such as `corpus.`.

    Raises:
        InputError: an unknown key, a missing key, a wrong type or an impossible value; the line names the key.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = min(
            error.errors(), key=lambda fault: fault["type"] != "extra_forbidden"
        )  # a typo explains what is missing
        key = prefix + ".".join(map(str, first["loc"]))
        what = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], first["msg"]).removeprefix(
            "Value error, "
        )
        given = redact(public(repr(first["input"])))  # a URL in it may hold a password
        # What doesn't fit together is said by the line itself, and what was given is the whole section.
        enough = first["type"] in {"extra_forbidden", "missing"} or isinstance(first["input"], dict)
        got = "" if enough else f" (got {given})"
        raise InputError(f"{path}: {key.rstrip('.')}: {what}{got}") from None


def load_common(path: Path = PARAMS) -> Common:
    """What all stages share; see `validate` for what is refused."""
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a mapping")
    return validate(Common, {key: value[key] for key in Common.model_fields if key in value}, path)


def load_section(key: str, model: type[S], path: Path = PARAMS) -> S:
    """The section `key`; see `validate` for what is refused."""
    value = load_yaml(path)
    if not isinstance(value, dict) or key not in value:
        raise InputError(f"{path}: {key}: missing")
    return validate(model, value[key], path, f"{key}.")
