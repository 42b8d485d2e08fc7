"""`params.yaml`, validated as a whole before any stage starts.

python -m stages.dial                        checks params.yaml
python -m stages.dial --size smoke --write   applies sizes/smoke.yaml to params.yaml
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationInfo, field_validator

from gym.tasksets.open import known
from stages.base.params import UpcycleParams
from stages.corpus.params import CorpusParams
from stages.evaluate.params import EvaluateParams
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.sandbox import SandboxParams
from stages.harness.section import PARAMS, Common, Section, load_yaml, validate
from stages.measure.params import TextLossParams
from stages.posttraining.params import CALLING, TasksParams
from stages.pretrain.params import PretrainParams
from stages.qat.params import QatParams
from stages.rephrase.params import RephraseParams
from stages.repositories.params import RepositoriesParams
from stages.rl.params import RlParams
from stages.sft.params import SftParams
from stages.tokenizer.params import TokenizerParams
from stages.tokens.params import TokensParams
from stages.tools.params import ToolsParams
from stages.tracking.gate import GateParams
from stages.trajectories.params import TrajectoriesParams


class PipelineParams(Section):
    """How the flow treats a stage (its entry in `stages`, else `default`).

    retries, retry_delay_s: a failed stage runs again after the delay, then after twice the delay, and so on.
    timeout_s: a longer run is stopped with all its processes, and counts as failed.
    at_once: runs of the stage at the same time over all workers of one Prefect server; 0 is no limit.
    """

    class Policy(Section):
        retries: int = Field(ge=0)
        retry_delay_s: float = Field(ge=0)
        timeout_s: float = Field(gt=0)
        at_once: int = Field(ge=0)

    default: Policy
    stages: dict[str, Policy]


class Params(Common):
    """The one dial: the laptop default is what stands in `params.yaml`."""

    endpoint: EndpointParams
    sandbox: SandboxParams
    tasks: TasksParams
    text_loss: TextLossParams
    corpus: CorpusParams
    tokenizer: TokenizerParams
    upcycle: UpcycleParams
    rephrase: RephraseParams
    tools: ToolsParams
    repositories: RepositoriesParams
    trajectories: TrajectoriesParams
    tokens: TokensParams
    pretrain: PretrainParams
    sft: SftParams
    rl: RlParams
    qat: QatParams
    evaluate: EvaluateParams
    gate: GateParams
    pipeline: PipelineParams

    @field_validator("tasks")
    @classmethod
    def _known(cls, tasks: TasksParams) -> TasksParams:
        for family in tasks.families:
            if family not in CALLING and not known(family):
                raise ValueError(f"families: no family {family!r}")
        return tasks

    @field_validator("rl")
    @classmethod
    def _outside_the_loop(cls, rl: RlParams, info: ValidationInfo) -> RlParams:
        inside = sorted(set(rl.ptx_demonstrations) & set(info.data["tasks"].families)) if "tasks" in info.data else []
        if inside:
            raise ValueError(f"ptx_demonstrations: {inside[0]!r} is one of tasks.families, which RL trains")
        return rl

    @field_validator("qat")
    @classmethod
    def _can_be_demonstrated(cls, qat: QatParams, info: ValidationInfo) -> QatParams:
        if "tasks" in info.data and not info.data["tasks"].elementary:
            raise ValueError("tasks.families: qat needs an elementary one, whose answers it can show")
        return qat


def parse_params(value: Any, path: Path = PARAMS) -> Params:
    """Validates an already loaded mapping.

    Raises:
        InputError: an unknown key, a missing key, a wrong type or an impossible value; the line names the key.
    """
    return validate(Params, value, path)


def load_params(path: Path = PARAMS) -> Params:
    """Reads and validates `params.yaml`.

    Raises:
        InputError: see `parse_params`; also a file that is missing or isn't YAML.
    """
    return parse_params(load_yaml(path), path)


def merge(base: Any, override: Any) -> Any:
    """`override` laid over `base`: mappings key by key, everything else replaced."""
    if isinstance(base, dict) and isinstance(override, dict):
        return base | {key: merge(base.get(key), value) for key, value in override.items()}
    return override


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks params.yaml, or applies a size to it.")
    parser.add_argument("--size", help="name of a file in sizes/ to lay over params.yaml")
    parser.add_argument("--write", action="store_true", help="write the result to params.yaml")
    args = parser.parse_args()
    path = PARAMS
    try:
        value = load_yaml(path)
        if args.size:
            value = merge(value, load_yaml(Path("sizes") / f"{args.size}.yaml"))
        params = parse_params(value, path)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    if args.write:
        path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    print(f"{path}: valid; base {params.base}, seed {params.seed}")


if __name__ == "__main__":
    main()
