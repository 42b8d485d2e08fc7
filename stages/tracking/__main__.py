"""`python -m stages.tracking` lists the registered checkpoints; `--promote` judges one by the gate of params.yaml.

The stage `evaluate` registers and judges by itself. `--promote` is for a gate that was changed since, for an older
version, and for a checkpoint that came by `dvc pull`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from k2model.errors import CheckpointError
from stages.harness import checkout_lock
from stages.harness.errors import InputError
from stages.harness.section import load_section
from stages.tracking.gate import GateParams
from stages.tracking.registry import CHECKPOINT, Version, promote, register, verdict_line, versions
from stages.tracking.runs import send_unsent
from stages.tracking.store import reason, store_errors


def line(version: Version) -> str:
    """One version of the list."""
    names = ", ".join(version.aliases) or "-"
    scores = "  ".join(f"{key} {value:.4g}" for key, value in sorted(version.scores.items()))
    gate = "; ".join(version.broken) or "holds"
    return f"{version.number:>4}  {names:<20} {version.checkpoint[:12]}  {version.commit[:9]}  {scores}  gate: {gate}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The registered checkpoints.")
    parser.add_argument("--promote", action="store_true", help="judge the candidate, or --version, by the gate")
    parser.add_argument("--version", type=int, help="with --promote: this one")
    parser.add_argument("--send", action="store_true", help="send what stages could not send to MLflow")
    args = parser.parse_args(argv)
    if args.version is not None and not args.promote:
        parser.error("--version goes with --promote")
    root = Path()
    try:
        if args.send:
            with checkout_lock.claim(root / "work", wait_s=0):
                waiting = send_unsent(root)
            print(f"mlflow: {waiting} stage runs have records that are not sent")
            raise SystemExit(1 if waiting else 0)
        gate = load_section("gate", GateParams)
        if args.promote:
            if args.version is None and (root / CHECKPOINT).exists():
                register(root, gate)
            number, broken = promote(root, gate, args.version)
            print(verdict_line(number, broken))
            raise SystemExit(1 if broken else 0)
        registered = versions(root)
    except (InputError, CheckpointError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except store_errors() as error:
        print(f"mlflow: {reason(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    for version in registered:
        print(line(version))
    champion = next((f"version {version.number}" for version in registered if "champion" in version.aliases), "none")
    print(f"models: {len(registered)} versions, champion {champion}")


if __name__ == "__main__":
    main()
