"""`k2`: one door to the commands; each is also `python -m <module>`."""

import importlib
import sys

COMMANDS = {  # name: module, what it does, an example
    "run": ("flows.pipeline", "the pipeline as a Prefect flow (dvc repro does the same without Prefect)", "k2 run --target evaluate"),
    "ui": ("flows.ui", "the Prefect and MLflow UIs", "k2 ui --mlflow-port 5001"),
    "deploy": ("flows.deploy", "serves nightly, run, resume, evaluate, experiment and sweep", 'k2 deploy --nightly "0 3 * * *"'),
    "recovery": ("flows.recovery", "lets a crashed worker's run go on at another worker", "k2 recovery --silence 60"),
    "experiment": ("flows.experiment", "one run with other parameters, beside the checkout", "k2 experiment --set pretrain.steps=200"),
    "sweep": ("flows.sweep", "a grid or an Optuna study under one MLflow parent", "k2 sweep --grid seed=0,1,2 --jobs 2"),
    "sandbox": ("flows.sandbox", "a file of sandbox jobs, here or on a work pool", "k2 sandbox jobs.jsonl outcomes.jsonl --shard 500"),
    "doctor": ("flows.doctor", "what this machine has, and what each missing thing disables", "k2 doctor"),
    "params": ("stages.dial", "checks params.yaml, or applies a size", "k2 params --size smoke --write"),
    "repositories": ("stages.repositories.__main__", "repair tasks of your own repository", "k2 repositories docs/parcels --out work/parcels"),
    "sft": ("stages.sft.__main__", "supervised tuning of a model folder", "k2 sft --model FOLDER --out FOLDER"),
    "rl": ("stages.rl.__main__", "RL from a model folder", "k2 rl --model FOLDER --out FOLDER"),
    "qat": ("stages.qat.__main__", "INT4 QAT of a model folder, and the export", "k2 qat --model FOLDER --out FOLDER"),
    "evaluate": ("stages.evaluate.__main__", "benchmarks on any target", "k2 evaluate --target embedded --benchmarks aime_2025"),
    "models": ("stages.tracking.__main__", "the registered checkpoints, their scores and aliases", "k2 models"),
    "describe": ("k2model.describe", "parameters, FLOPs and size of a preset", "k2 describe k2"),
    "plan": ("k2model.training.plan", "memory and time on a cluster", "k2 plan k2 --gpus 256 --ep 64"),
    "serve": ("k2model.serving.server", "an OpenAI-compatible server over a checkpoint", "k2 serve models/rl"),
    "export": ("k2model.formats.export", "a model folder as one file for llama.cpp", "k2 export gguf models/rl"),
    "chat": ("agents.playground.__main__", "a page to talk with a model, its tools really called", "k2 chat models/rl --world rail_tickets"),
}  # fmt: skip


def usage() -> str:
    lines = [f"  {name:<12}  {text}\n{'':16}{example}" for name, (_, text, example) in COMMANDS.items()]
    after = "A stage is `python -m stages.NAME`, all of them `dvc repro`; `make help` lists what make does."
    return "\n".join(["usage: k2 COMMAND [options]; k2 COMMAND --help says more", "", *lines, "", after])


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(usage())
        return
    name = sys.argv[1]
    if name not in COMMANDS:
        print(f"k2: no command {name!r}; k2 --help lists them", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"k2 {name}", *sys.argv[2:]]
    raise SystemExit(importlib.import_module(COMMANDS[name][0]).main())


if __name__ == "__main__":
    main()
