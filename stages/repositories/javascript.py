"""Packages of npm with proven bugs, all for evaluation alone: `repositories.javascript` in params.yaml."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gym.javascript.bugs import find_bugs, measure
from gym.javascript.packages import read_packages
from gym.javascript.project import read_project
from gym.javascript.store import Stored
from gym.repositories.errors import RepositoryError
from gym.sandbox import LOCAL
from gym.sandbox.programs import has_program
from stages.harness.seeds import seed32


@dataclass(frozen=True)
class Scripts:
    """stored: packages with their bugs. missing: why others are left out, by name. reasons: mutants that were tried, by
    what became of them."""

    stored: Sequence[Stored]
    missing: Mapping[str, str]
    reasons: Mapping[str, int]

    @property
    def tasks(self) -> int:
        return sum(len(one.bugs) for one in self.stored)


def scripts(names: Sequence[str], count: int, archives: Path, seed: int) -> Scripts:
    """`count` bugs over the packages; what one package has too few of is asked of those after it.

    A package that can't be had, or whose tests don't run here, is left out with a line.

    Raises:
        SandboxError: the sandbox failed.
    """
    stored: list[Stored] = []
    missing: dict[str, str] = {}
    reasons: Counter[str] = Counter()
    if not names:
        return Scripts(stored, missing, reasons)
    known = read_packages()
    with LOCAL.open(workers=1) as box:
        runs = has_program(box, "node")
        left = count
        for number, name in enumerate(names):
            try:
                if not runs:
                    raise RepositoryError(f"{name}: node does not run in the sandbox")
                project = read_project(known[name], archives)
                baseline = measure(box, project)
            except RepositoryError as error:
                missing[name] = str(error)
                print(f"repositories: left out: {error}", flush=True)
                continue
            share = -(-left // (len(names) - number))
            bugs, tried = find_bugs(box, project, baseline, share, seed32(seed, name))
            reasons.update(tried)
            left -= len(bugs)
            stored.append(Stored(project, baseline, tuple(bugs)))
    return Scripts(stored, missing, reasons)
