"""`k2`: one door to the commands; each is also `python -m <module>`."""

import importlib
import sys

COMMANDS = {
    "run": ("flows.pipeline", "the pipeline as a Prefect flow (dvc repro does the same without Prefect)"),
    "ui": ("flows.ui", "the Prefect and MLflow UIs"),
    "deploy": ("flows.deploy", "serve the deployments: nightly, run, resume, evaluate, experiment, sweep"),
    "recovery": ("flows.recovery", "lets a crashed worker's run go on at another worker"),
    "experiment": ("flows.experiment", "one run with other parameters: k2 experiment --set pretrain.steps=200"),
    "sweep": ("flows.sweep", "a grid or a study: k2 sweep --grid seed=0,1,2 --jobs 2"),
    "doctor": ("flows.doctor", "what this machine has and what is disabled"),
    "params": ("stages.params", "check params.yaml, or apply a size: k2 params --size smoke --write"),
    "evaluate": ("stages.evaluate.__main__", "benchmarks on any target: k2 evaluate --target URL --benchmarks NAME"),
    "models": ("stages.models", "the registered checkpoints, their scores and aliases"),
    "promote": ("stages.promote", "makes the candidate, or --version N, the champion if the gate holds"),
    "describe": ("k2model.describe", "parameters, FLOPs and size of a preset: k2 describe k2"),
    "plan": ("k2model.plan", "memory and time on a cluster: k2 plan k2 --gpus 2048 --gpu h800"),
    "serve": ("k2model.serve", "an OpenAI-compatible server over a checkpoint: k2 serve models/rl"),
}


def usage() -> str:
    lines = [f"  k2 {name:<11} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: k2 COMMAND [options]; k2 COMMAND --help says more", "", *lines])


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(usage())
        return
    name = sys.argv[1]
    if name not in COMMANDS:
        print(f"k2: no command {name!r}\n{usage()}", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"k2 {name}", *sys.argv[2:]]
    importlib.import_module(COMMANDS[name][0]).main()


if __name__ == "__main__":
    main()
