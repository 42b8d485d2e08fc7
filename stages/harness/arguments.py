"""The command line of a stage that has nothing to ask for."""

import argparse


def no_arguments(stage: str) -> None:
    """Refuses arguments, which would be ignored; says with `--help` where a stage's parameters stand."""
    argparse.ArgumentParser(
        prog=f"python -m stages.{stage}",
        description=f"The stage {stage}. It takes no arguments: its parameters stand in params.yaml (docs/stages.md).",
    ).parse_args()
