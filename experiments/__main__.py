"""The claims of K2's report, and what was found.

python -m experiments                          lists them: verdict, interval and threshold, size, commits
python -m experiments --write                  the same, and writes docs/experiments/ledger.jsonl for the report
python -m experiments NAME                     runs the experiment of one, which goes on where it stopped
python -m experiments NAME -- --threads 2      the same with other arguments of the experiment
"""

import argparse
import shlex
import subprocess
import sys
from collections import Counter
from difflib import get_close_matches

from experiments.ledger import Claim, Judged, ledger, line_of, load_claims, write_ledger
from experiments.results import size_of
from stages.harness.errors import InputError
from stages.harness.section import load_common

OWN_SIZE = ("pretraining", "sparsity", "rephrase")  # experiments whose size is not that of params.yaml


def chosen(name: str, claims: list[Claim]) -> Claim:
    """The claim of that name.

    Raises:
        InputError: there is none; the line names those that are spelled alike.
    """
    for claim in claims:
        if claim.name == name:
            return claim
    near = get_close_matches(name, [claim.name for claim in claims], n=3, cutoff=0.4)
    hint = f"; near it: {', '.join(near)}" if near else "; python -m experiments lists them"
    raise InputError(f"{name}: no such claim{hint}")


def command(claim: Claim, more: list[str]) -> list[str]:
    """What measures a claim.

    Raises:
        InputError: nothing here does, or params.yaml is at another size.
    """
    if not claim.experiment:
        raise InputError(f"{claim.name}: not tested here: it needs {claim.needs}")
    common = load_common()
    here = size_of(common.base, common.model)
    if claim.experiment not in OWN_SIZE and here != claim.size:
        raise InputError(f"{claim.name}: measured at size {claim.size}, params.yaml is at {here} (sizes/)")
    return [sys.executable, "-m", f"experiments.{claim.experiment}", *shlex.split(claim.arguments), *more]


def listed(every: list[Judged]) -> list[str]:
    """A line for each claim, then how many have which verdict."""
    counts = Counter(one.verdict for one in every)
    return [*map(line_of, every), f"{len(every)} claims: " + ", ".join(f"{n} {word}" for word, n in counts.items())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="", help="a claim of experiments/claims.yaml; none lists them all")
    parser.add_argument("more", nargs="*", help="further arguments of its experiment, after --")
    parser.add_argument("--write", action="store_true", help="write the ledger anew")
    args = parser.parse_args()
    try:
        if not args.name:
            print("\n".join(listed(write_ledger() if args.write else ledger())))
            return
        argv = command(chosen(args.name, load_claims()), args.more)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    sys.exit(subprocess.run(argv, check=False).returncode)


if __name__ == "__main__":
    main()
