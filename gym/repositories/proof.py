"""Which candidates are tasks: a search in memory finds them, a run of the suite on the broken files settles it."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from gym.repositories.baseline import Baseline
from gym.repositories.draw import Draw, parse_code
from gym.repositories.hidden import choose_shown
from gym.repositories.obvious import obvious
from gym.repositories.parsed import Source
from gym.repositories.project import Project
from gym.repositories.search import MOST_FAILURES, Trial, search
from gym.repositories.suite import LIMITS, run_suite
from gym.repositories.task import Edit, apply_edits
from gym.sandbox import Box

BATCH = 64  # candidates at once: the suite is collected once for each worker's share of them
SHARE = 0.5  # of the candidates are tasks at least, as a batch is sized
PROVEN = "proven"


@dataclass(frozen=True)
class Proven:
    """Edits that are a task.

    fail_to_pass, pass_to_pass: node ids of the baseline's tests, in the suite's order. shown: of both, those that stay
    in the solver's tree. texts: of the failures, by node id, as pytest shows them.
    """

    edits: tuple[Edit, ...]
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    shown: tuple[str, ...]
    texts: Mapping[str, str]


@dataclass
class Funnel:
    """What became of the candidates.

    reasons: number by outcome, `proven` or why it is no task: `too easy` (a linter shows it), `untested`, `unswapped`
    (only of combinations: a single bug goes to the disk), `survived`, `endless`, `died`, `fails too much`, `no test of
    its own` (a bug of a combination), `flaky`. kinds: (proven, tried) by kind of edit. search_cpu_s, disk_cpu_s:
    processor seconds of candidates in memory, and of runs on disk.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    search_cpu_s: float = 0.0
    disk_cpu_s: float = 0.0

    def count(self, edits: Sequence[Edit], reason: str) -> None:
        self.reasons[reason] += 1
        for edit in edits:
            proven, tried = self.kinds.get(edit.kind, (0, 0))
            self.kinds[edit.kind] = (proven + (reason == PROVEN), tried + 1)


@dataclass(frozen=True)
class _Suspect:
    """A candidate that goes to the disk, and for each edit of a combination the tests that fail by it alone."""

    edits: tuple[Edit, ...]
    own: tuple[frozenset[str], ...]


def prove(
    box: Box,
    project: Project,
    baseline: Baseline,
    count: int,
    seed: int,
    *,
    candidates: Iterable[tuple[Edit, ...]] | None = None,
    workers: int = 2,
) -> tuple[list[Proven], Funnel]:
    """Up to `count` tasks, fewer where the candidates end before.

    Equal arguments give equal tasks however many workers there are, but for a candidate that runs close to its limit of
    processor time.

    Args:
        box: opened with the project's library folder and `preload=PRELOAD`.
        candidates: drawn from the project's own places without.
        workers: jobs of the sandbox at once.

    Raises:
        SandboxError: the sandbox itself failed, or the suite could not be collected.
    """
    sources = parse_code(project)
    stream = iter(Draw(project, baseline, sources, seed) if candidates is None else candidates)
    rng = np.random.default_rng([seed, 60_318])
    made: list[Proven] = []
    funnel = Funnel()
    with ThreadPoolExecutor(workers) as threads:
        while len(made) < count:
            batch = list(islice(stream, min(BATCH, math.ceil((count - len(made)) / SHARE))))
            if not batch:
                break
            suspects = _suspects(box, project, baseline, batch, sources, funnel, threads, workers)
            while suspects and len(made) < count:
                now = [one for one, _ in zip(suspects, range(count - len(made)))]
                suspects = suspects[len(now) :]
                proofs = threads.map(lambda one: _proof(box, project, baseline, one), now)
                for suspect, (proof, reason, cpu_s) in zip(now, proofs):
                    funnel.disk_cpu_s += cpu_s
                    funnel.count(suspect.edits, reason)
                    if proof is not None:
                        shown = choose_shown(project.files, proof.fail_to_pass, proof.pass_to_pass, rng)
                        made.append(replace(proof, shown=shown))
    return made, funnel


def _suspects(
    box: Box,
    project: Project,
    baseline: Baseline,
    batch: Sequence[tuple[Edit, ...]],
    sources: Mapping[str, Source],
    funnel: Funnel,
    threads: ThreadPoolExecutor,
    workers: int,
) -> list[_Suspect]:
    """The candidates whose every edit fails a test in memory, or that can't be tried there; all others are counted."""
    tried = []
    for edits in batch:
        if any(obvious(sources[edit.path], edit) for edit in edits):
            funnel.count(edits, "too easy")
        else:
            tried.append(edits)
    alone = [(edit,) for edits in tried for edit in edits]
    if not alone:
        return []
    shares = [alone[worker::workers] for worker in range(min(workers, len(alone)))]
    found, seconds = zip(*threads.map(lambda share: search(box, project, baseline, share, sources), shares))
    funnel.search_cpu_s += sum(seconds)
    trials = iter([found[number % workers][number // workers] for number in range(len(alone))])
    suspects = []
    for edits in tried:
        own = list(islice(trials, len(edits)))
        if reason := _rejected(own):
            funnel.count(edits, reason)
        else:
            suspects.append(_Suspect(edits, tuple(_own_tests(own))))
    return suspects


def _rejected(trials: Sequence[Trial]) -> str:
    """Why a candidate with these trials of its edits is no task; empty where the disk decides."""
    if len(trials) == 1 and trials[0].status == "unswapped":
        return ""
    for trial in trials:
        if trial.status != "failed":
            return trial.status
    return "" if all(_own_tests(trials)) else "no test of its own"


def _own_tests(trials: Sequence[Trial]) -> Iterator[frozenset[str]]:
    """Of each edit of a combination the tests that fail by it and by none of the others; nothing of a single one."""
    for trial in trials if len(trials) > 1 else ():
        others = {test for other in trials if other is not trial for test in other.failed}
        yield frozenset(trial.failed) - others


def _proof(box: Box, project: Project, baseline: Baseline, suspect: _Suspect) -> tuple[Proven | None, str, float]:
    """(task whose shown tests are not chosen yet, outcome, processor seconds)."""
    broken = apply_edits(project.files, suspect.edits)
    limits = replace(LIMITS, cpu_s=10.0 + 3.0 * baseline.cpu_s)
    run = run_suite(box, project, broken, baseline.tests, limits=limits)
    if not run.ended:
        return None, "endless", run.cpu_s
    failing = tuple(test for test in baseline.tests if run.outcomes.get(test) != "passed")
    passing = tuple(test for test in baseline.tests if run.outcomes.get(test) == "passed")
    if not failing:
        return None, "survived", run.cpu_s
    if len(failing) > min(MOST_FAILURES, len(baseline.tests) // 2):
        return None, "fails too much", run.cpu_s
    if not all(tests.intersection(failing) for tests in suspect.own):
        return None, "no test of its own", run.cpu_s
    again = run_suite(box, project, broken, failing, texts=True, limits=limits)
    cpu_s = run.cpu_s + again.cpu_s
    if not again.ended or any(again.outcomes.get(test) == "passed" for test in failing):
        return None, "flaky", cpu_s
    return Proven(suspect.edits, failing, passing, (), again.texts), PROVEN, cpu_s
