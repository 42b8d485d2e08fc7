"""How well the check of rephrasings judges labelled texts, and a model behind a URL beside it.

    python -m experiments.fidelity
    python -m experiments.fidelity --judge http://127.0.0.1:8000/v1#MODEL

Three sets: `first` (the check was mended on it), `held` (part F of the second set, on which nothing was changed), and
`long`, 200 pairs of documents over 2,000 characters made of part F: subjects one after the other, told again in another
order; in three of four pairs one subject is told wrongly. Precision and recall are of acceptance; `hard` is the
check without what is left to a judge, `both` what that and the judge accept.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.chat.open import open_client
from agents.chat.protocol import ChatError
from agents.rephrase.fidelity import Thresholds, fidelity
from agents.rephrase.judge import judge
from agents.rephrase.rewrite import RewriteJob, RewriteOptions
from experiments import fidelity_heldout, fidelity_labelled
from gym.intervals import wilson
from stages.harness.endpoint import EndpointParams
from stages.harness.section import load_section
from stages.harness.seeds import rng
from stages.harness.teacher import endpoint_options

STRUCTURED = Thresholds(copied=1.0)  # a table or an FAQ may keep the source's own sentences
JUDGED, JOB = RewriteOptions(judged=True), RewriteJob("", "", "", "paraphrase", "teacher", 0, 0)
LONG_CHARS, LONG_GOOD, LONG_BAD_EACH = 2000, 50, 3


@dataclass(frozen=True)
class Labelled:
    """A pair and its label; `kind` is good, or what is wrong."""

    title: str
    source: str
    output: str
    kind: str

    @property
    def thresholds(self) -> Thresholds:
        return STRUCTURED if "\n" in self.output and self.kind != "copy" else Thresholds()


def first() -> list[Labelled]:
    return [Labelled(pair.title, pair.source, pair.output, pair.kind) for pair in fidelity_labelled.labelled()]


def part(names: str) -> list[Labelled]:
    """Parts of the second set."""
    cases = [case for case in fidelity_heldout.CASES if case.part in names]
    return [Labelled(case.title, case.source, text, kind) for case in cases for kind, text in case.texts()]


def long_pairs(names: str = "F", seed: int = 0) -> list[Labelled]:
    """Documents over `LONG_CHARS` out of the cases of these parts, a quarter of them told rightly."""
    cases = [case for case in fidelity_heldout.CASES if case.part in names]
    pairs: list[Labelled] = []
    for number in range(LONG_GOOD):
        draw = rng(seed, "fidelity", "long", str(number))
        chosen = []
        for index in draw.permutation(len(cases)):
            chosen.append(cases[index])
            if sum(len(case.source) for case in chosen) > LONG_CHARS:
                break
        title = ", ".join(case.title for case in chosen)
        source = "\n".join(case.source for case in chosen)
        told = [str(draw.choice(case.good)) for case in chosen]
        order = [int(k) for k in draw.permutation(len(chosen))]
        pairs.append(Labelled(title, source, "\n".join(told[k] for k in order), "good"))
        for at in draw.choice(len(chosen), LONG_BAD_EACH, replace=False):
            wrong = [(kind, text) for kind, text in chosen[at].texts() if kind != "good"]
            kind, text = wrong[int(draw.integers(len(wrong)))]
            pairs.append(Labelled(title, source, "\n".join(text if k == at else told[k] for k in order), kind))
    return pairs


SETS = {"first": first, "held": lambda: part("F"), "long": long_pairs}


def figures(name: str, pairs: Sequence[Labelled], accepted: Sequence[bool]) -> str:
    """A row of the table: precision and recall with intervals, and how many bad texts were rejected."""
    right = sum(ok and pair.kind == "good" for ok, pair in zip(accepted, pairs, strict=True))
    good = sum(pair.kind == "good" for pair in pairs)
    cells = []
    for n in (sum(accepted), good):
        low, high = wilson(right, n) if n else (0.0, 1.0)
        cells.append(f"{right / n:.3f} [{low:.3f}, {high:.3f}]" if n else "none")
    bad = len(pairs) - good
    rejected = bad - (sum(accepted) - right)
    return f"| {name} | {len(pairs)} | {cells[0]} | {cells[1]} | {rejected} of {bad} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", help="URL#model")
    parser.add_argument("--sets", default=",".join(SETS), help="of first, held and long")
    args = parser.parse_args()
    if unknown := set(args.sets.split(",")) - SETS.keys():
        parser.error(f"--sets: no {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    client = None
    try:
        if args.judge:
            store = Path(os.environ.get("K2_ANSWERS", "work/answers.sqlite"))
            endpoint = endpoint_options(load_section("endpoint", EndpointParams))
            client = open_client(args.judge, store=store, endpoint=endpoint)
        print("| set and judge | pairs | precision | recall | bad texts rejected |\n|---|---|---|---|---|")
        for name in args.sets.split(","):
            pairs = SETS[name]()
            began = time.process_time()
            scored = [fidelity(x.source, x.output, x.title) for x in pairs]
            checked = [not scores.reason(x.thresholds) for x, scores in zip(pairs, scored, strict=True)]
            spent = (time.process_time() - began) / len(pairs)
            print(figures(f"{name}, check ({1000 * spent:.0f} ms a pair)", pairs, checked), flush=True)
            hard = [not scores.reason(JUDGED.bars(x.thresholds, JOB)) for x, scores in zip(pairs, scored, strict=True)]
            print(figures(f"{name}, hard", pairs, hard), flush=True)
            if client is not None:
                verdicts = judge([(x.title, x.source, x.output) for x in pairs], client)
                judged = [not verdict.reason for verdict in verdicts]
                print(figures(f"{name}, judge", pairs, judged))
                both = [a and b for a, b in zip(hard, judged, strict=True)]
                print(figures(f"{name}, both", pairs, both), flush=True)
    except ChatError as error:
        parser.exit(2, f"fidelity: {error}\n")


if __name__ == "__main__":
    main()
