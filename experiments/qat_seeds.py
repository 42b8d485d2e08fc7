"""What INT4 costs after QAT, beside rounding to nearest and bfloat16 trained alike: the stage `qat` with several seeds.

    python -m experiments.qat_seeds --start models/rl --seeds 0,1,2

Each seed is `python -m stages.qat` on that folder by params.yaml with another `seed`, in a folder of its own under
`work/experiments/qat_seeds`, where a killed run goes on. The held-out documents are drawn by the seed too. Lines of
docs/experiments/qat_seeds.jsonl are not measured again. Rules and verdicts: `experiments/claims.yaml`.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from experiments.ledger import conclude
from experiments.results import RunsFile, stamp
from stages.harness.section import PARAMS, load_yaml
from stages.tracking.store import tracking_uri

RUNS, KEPT = RunsFile(Path("docs/experiments/qat_seeds.jsonl")), Path("work/experiments/qat_seeds")
MEASURED = ("loss_bf16", "ptq_minus_bf16", "qat_minus_bf16", "documents", "steps")


def prepared(seed: int) -> Path:
    """A folder in which the stage finds this checkout's data and graph, and its params.yaml with another seed."""
    folder = KEPT / f"{stamp()['size']}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAMS).write_text(yaml.safe_dump(load_yaml() | {"seed": seed}), encoding="utf-8")
    for name in ("dvc.yaml", "data"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path(name).resolve())
    return folder


def measured(start: Path, seed: int) -> dict[str, float]:
    """What the stage found with a seed; its failure is this program's."""
    folder = prepared(seed)
    paths = {"PYTHONPATH": os.pathsep.join([str(Path().resolve()), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "stages.qat", "--model", str(start.resolve()), "--out", "made"],
        cwd=folder,
        env={**os.environ, **paths, "MLFLOW_TRACKING_URI": tracking_uri(Path())},
        check=False,
    )
    if done.returncode:
        sys.exit(done.returncode)
    found = json.loads((folder / "made" / "run" / "qat.json").read_text(encoding="utf-8"))
    return {name: found[name] for name in MEASURED}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, default=Path("models/rl"), help="a model folder")
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    for seed in map(int, args.seeds.split(",")):
        key = {"record": "run", "arm": "qat", "seed": seed, "start": str(args.start)}
        if not RUNS.has(key):
            RUNS.add(key | measured(args.start, seed))
    conclude("qat_seeds")


if __name__ == "__main__":
    main()
