"""One DVC experiment with other parameters, in a work tree of its own: `dvc exp run --temp -S key=value`.

python -m flows.experiment --set pretrain.steps=200 --set seed=1 --name longer
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from flows import environment
from flows.process import StageFailed, StageTimeout, dvc, run
from gym.yaml_text import load_yaml_text
from stages.dial import parse_params
from stages.harness.checkout_lock import RUN_VARIABLE
from stages.harness.errors import InputError
from stages.harness.section import load_yaml


def override(params: dict[str, Any], changes: Mapping[str, str]) -> dict[str, Any]:
    """`params` with dotted keys replaced; values are YAML.

    Raises:
        InputError: a key that params.yaml does not have, or a value that the schema refuses.
    """
    for key, text in changes.items():
        *path, last = key.split(".")
        node: Any = params
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict) or last not in node:
            raise InputError(f"params.yaml: no key {key}")
        try:
            node[last] = load_yaml_text(text)
        except yaml.YAMLError:
            raise InputError(f"{key}: {text!r} is not YAML") from None
    parse_params(params)
    return params


def parse_changes(pairs: Sequence[str]) -> dict[str, str]:
    """`["a.b=1"]` → `{"a.b": "1"}`."""
    changes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{pair!r}: wanted key=value")
        changes[key.strip()] = value.strip()
    return changes


def run_experiment(
    changes: Mapping[str, str],
    *,
    name: str | None = None,
    targets: Sequence[str] = (),
    timeout_s: float = 86_400.0,
    parent_run: str | None = None,
    on_line: Callable[[str], None] = print,
    root: Path = Path(),
) -> list[str]:
    """Runs it and gives DVC's lines; the checkout that it is started from stays as it is.

    Args:
        parent_run: MLflow run under which the experiment's runs stand.

    Raises:
        InputError: a key or value that params.yaml can't have; nothing has run.
        StageFailed, StageTimeout: the run failed.
    """
    override(load_yaml(root / "params.yaml"), changes)
    environment.prepare(root)
    command = dvc("exp", "run", "--temp", *(["-n", name] if name else []))
    for key, value in changes.items():
        command += ["-S", f"{key}={value}"]
    os.environ.pop(RUN_VARIABLE, None)
    environ = {"K2_MLFLOW_PARENT": parent_run} if parent_run else {}
    return run([*command, *targets], timeout_s=timeout_s, on_line=on_line, cwd=root, environ=environ)


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a DVC experiment in a work tree of its own.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of params.yaml")
    parser.add_argument("--name", help="of the experiment in dvc exp show")
    parser.add_argument("--target", action="append", default=[], help="a stage to run with what it needs")
    args = parser.parse_args()
    try:
        run_experiment(parse_changes(args.set), name=args.name, targets=args.target)
    except (InputError, StageFailed, StageTimeout) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2 if isinstance(error, InputError) else 1) from None


if __name__ == "__main__":
    main()
