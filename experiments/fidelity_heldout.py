"""A second labelled set, of other topics, in `experiments/fidelity_pairs`.

Everything in it is written by hand: sources, good rephrasings, and what was done to a good one to make it bad. The
thresholds were set before it was written.

It has six parts. `A`, then `B` to `E` showed what the check misses, and the check was mended on each. `F` was written
after that by an author who had not seen the check, and nothing was changed for it: its figures say how the check does
on texts that it has not met.
"""

from dataclasses import dataclass
from pathlib import Path

from stages.harness.section import load_yaml

FOLDER = Path(__file__).with_name("fidelity_pairs")


@dataclass(frozen=True)
class Case:
    """A source, its good rephrasings, and edits (kind, which, what is replaced, by what) of good ones to bad."""

    part: str
    title: str
    source: str
    good: tuple[str, ...]
    bad: tuple[tuple[str, int, str, str], ...]

    def texts(self) -> list[tuple[str, str]]:
        """(kind, text): `good`, or what is wrong with it."""
        found = [("good", text) for text in self.good]
        for kind, which, old, new in self.bad:
            assert self.good[which].count(old) == 1, (self.title, old)
            found.append((kind, self.good[which].replace(old, new)))
        return found


def _part(path: Path) -> list[Case]:
    return [
        Case(
            path.stem,
            one["title"],
            one["source"],
            tuple(one["good"]),
            tuple((edit["kind"], edit["of"], edit["old"], edit["new"]) for edit in one["bad"]),
        )
        for one in load_yaml(path)
    ]


CASES = tuple(case for path in sorted(FOLDER.glob("*.yaml")) for case in _part(path))
