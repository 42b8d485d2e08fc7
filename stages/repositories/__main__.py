"""`python -m stages.repositories`: real repositories with proven bugs, issues that tell of them, and hidden tests.

With a repository's folder or address it makes tasks of that one, beside the pipeline:

    python -m stages.repositories docs/parcels --out work/parcels --tasks 12
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from agents.chat.losses import listed
from agents.chat.protocol import ChatClient, ChatError, ChatRefusal, ChatRequest
from agents.chat.spec import is_endpoint
from gym.javascript.store import FOLDER as SCRIPTS
from gym.javascript.store import write as write_scripts
from gym.repositories.errors import RepositoryError
from gym.repositories.project import Project
from gym.repositories.store import LIBRARIES, write_project
from gym.sandbox import SandboxError
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic, write_json
from stages.harness.progress import Progress
from stages.harness.section import load_common, load_section
from stages.harness.seeds import seed32
from stages.harness.stage import Stage
from stages.harness.tables import REPAIRS, write_table
from stages.harness.teacher import Teacher
from stages.repositories.card import card, measure, script_card
from stages.repositories.javascript import Scripts, scripts
from stages.repositories.making import Helping, Made, Wanted, make, read_project
from stages.repositories.params import RepositoriesParams
from stages.tracking.runs import Track

TABLE, FOLDER, CARD = "repairs.parquet", "repositories", "repairs_card.md"
FETCHED = Path("work/repositories-fetched")  # archives, libraries and baselines, which no parameter changes
LEAST = 2  # packages to learn from, where as many are asked for
MAX_TOKENS = 2048


def wanted(p: RepositoriesParams) -> list[Wanted]:
    """Every repository with its share of the tasks."""

    def share(total: int, among: int, index: int) -> int:
        return total // among + (index < total % among)

    learned, kept = [*p.packages, *p.own], [*p.held, *p.own]
    tasks = {name: share(p.tasks, len(learned), k) for k, name in enumerate(learned)}
    held = {name: share(p.held_tasks, len(kept), k) for k, name in enumerate(kept)}
    own = set(p.own)
    return [Wanted(name, name in own, tasks.get(name, 0), held.get(name, 0)) for name in {**tasks, **held}]


def projects(p: RepositoriesParams, todo: list[Wanted]) -> tuple[dict[str, Project], dict[str, str]]:
    """Files of each by what names it, and why others can't be had.

    Raises:
        InputError: one of the user's own can't be had, too few packages can, or two have one name.
    """
    found: dict[str, Project] = {}
    missing: dict[str, str] = {}
    for one in todo:
        try:
            found[one.source] = read_project(one, FETCHED)
        except RepositoryError as error:
            if one.own:
                raise InputError(f"repositories.own: {error}") from None
            missing[one.source] = str(error)
            print(f"repositories: left out: {error}", flush=True)
    for key, names in (("packages", p.packages), ("held", p.held)):
        if missing and sum(name in found for name in names) < min(LEAST, len(names)):
            raise InputError(f"repositories.{key}: {next(why for name, why in missing.items() if name in names)}")
    names = [project.name for project in found.values()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"repositories: two are called {twice[0]}")
    return found, missing


def answer(client: ChatClient, prompt: str) -> str:
    """A teacher's answer; empty where it refuses."""
    request = ChatRequest(({"role": "user", "content": prompt},), max_tokens=MAX_TOKENS, temperature=0.7, seed=0)
    (given,) = client.complete([request])
    return "" if isinstance(given, ChatRefusal) else given.text


def every(
    todo: Sequence[Wanted],
    found: Mapping[str, Project],
    work: Path,
    seed: int,
    threads: int,
    helping: Helping,
    *,
    staged: bool = True,
) -> dict[str, Made]:
    """What came of each repository, by its name; what a killed run finished in `work` is found again.

    Args:
        staged: `repositories` in params.yaml names them.

    Raises:
        InputError: one has no suite that can be relied on, or the sandbox failed.
    """
    ready = [one for one in todo if one.source in found]
    workers = max(1, threads // max(1, len(ready)))

    def one_of(one: Wanted) -> Made:
        project = found[one.source]
        path = work / f"{project.name}.json"
        if not path.exists():
            write_json(path, asdict(make(one, project, FETCHED, seed, helping, workers)))
        return Made(**json.loads(path.read_text(encoding="utf-8")))

    made: dict[str, Made] = {}
    with ThreadPoolExecutor(threads) as pool, Progress("repositories", len(ready), "repository") as progress:
        for one, later in [(one, pool.submit(one_of, one)) for one in ready]:
            try:
                made[found[one.source].name] = later.result()
            except (RepositoryError, SandboxError) as error:
                if not staged:
                    raise InputError(str(error)) from None
                key = "own" if one.own else "packages" if one.tasks else "held"
                raise InputError(f"repositories.{key}: {error}; leave it out") from None
            progress.update(1)
    return made


def publish(
    out: Path,
    made: Mapping[str, Made],
    found: Mapping[str, Project],
    missing: Mapping[str, str],
    teacher: str,
    seed: int,
    javascript: Scripts,
) -> None:
    """The table of tasks, the projects that it needs, the packages of npm, and the card."""
    rows = [row for one in made.values() for row in one.rows]
    write_table(out / TABLE, rows, REPAIRS)
    used = {row["project"] for row in rows}
    with write_atomic(out / FOLDER) as tmp:
        tmp.mkdir(exist_ok=True)
        for project in found.values():
            if project.name in used:
                write_project(tmp, project, FETCHED / LIBRARIES)
        for stored in javascript.stored:
            write_scripts(tmp / SCRIPTS.name, stored)
    with write_atomic(out / CARD) as tmp:
        tmp.write_text(card(made, missing, teacher, seed) + script_card(javascript), encoding="utf-8")


def count(text: str) -> int:
    """A number of tasks, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def told(metrics: Mapping[str, float], repositories: int, missing: Sequence[str]) -> str:
    line = f"{metrics['tasks']:,.0f} tasks to learn from and {metrics['held_tasks']:,.0f} held, of {repositories} "
    line += f"repositories; {metrics['proven_share']:.0%} of {metrics['candidates']:,.0f} candidates proven"
    if metrics.get("javascript_tasks"):
        line += f"; {metrics['javascript_tasks']:,.0f} in JavaScript"
    return line + (f"; left out: {listed(sorted(missing))}" if missing else "")


def alone(arguments: Sequence[str]) -> None:
    """Tasks of one repository, into a folder of the user's.

    Raises:
        InputError: it can't be had, its suite can't be relied on or proves no bug, or the folder can't be written.
    """
    parser = argparse.ArgumentParser(prog="python -m stages.repositories", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("repository", help="a folder, or what git clone takes, with a pytest suite")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the table, the repository and the card")
    parser.add_argument("--tasks", type=count, default=20)
    parser.add_argument("--held-tasks", type=count, default=5, help="in functions that no other task touches")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    started = time.monotonic()
    one = Wanted(args.repository, True, args.tasks, args.held_tasks)
    try:
        found = {one.source: read_project(one, FETCHED)}
    except RepositoryError as error:
        raise InputError(str(error)) from None
    seed = seed32(args.seed, "repositories", "bugs")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=args.out).close()
    except OSError as error:
        raise InputError(f"--out {args.out}: can't be written: {error.strerror}") from None
    work = args.out / "work" / found[one.source].content()[:16] / f"{args.tasks}-{args.held_tasks}-{args.seed}"
    made = every([one], found, work, seed, load_common().threads, Helping(None, 0.0, 0.0), staged=False)
    (one_made,) = made.values()
    if args.tasks + args.held_tasks and not one_made.rows:
        why = listed([f"{count} {reason}" for reason, count in one_made.reasons.items()])
        raise InputError(
            f"{args.repository}: no bug that its {one_made.tests} tests prove: {why or 'no place for one'}"
        )
    publish(args.out, made, found, {}, "", seed32(args.seed, "repositories", "card"), Scripts((), {}, {}))
    print(f"repositories: {told(measure(made), 1, ())}, {args.out / TABLE}, {time.monotonic() - started:,.1f} s")


def main() -> None:
    if sys.argv[1:]:
        try:
            alone(sys.argv[1:])
        except InputError as error:
            print(f"repositories: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        return
    with Stage("repositories", RepositoriesParams, Track) as stage:
        p, threads = stage.params, stage.common.threads
        endpoint = load_section("endpoint", EndpointParams)
        todo = wanted(p)
        found, missing = projects(p, todo)
        with Teacher(p.teacher, endpoint, threads) as teacher:

            def ask(prompt: str) -> str:
                return teacher.submit(answer, prompt).result()

            try:
                helping = Helping(ask if is_endpoint(p.teacher) else None, p.rewritten, p.worded)
                made = every(todo, found, stage.work, stage.seed32("bugs"), threads, helping)
                losses = teacher.settle()
            except ChatError as error:
                raise InputError(f"repositories.teacher: {error}") from None
        try:
            javascript = scripts(p.javascript, p.javascript_tasks, FETCHED, stage.seed32("javascript"))
        except SandboxError as error:
            raise InputError(f"repositories.javascript: {error}; leave it empty") from None
        publish(Path("data"), made, found, missing, teacher.model, stage.seed32("card"), javascript)
        metrics = measure(made) | {"left_out": len(missing), "requests_failed": losses.failed}
        metrics |= {"javascript_tasks": javascript.tasks, "javascript_left_out": len(javascript.missing)}
        stage.finish(told(metrics, len(made), [*missing, *javascript.missing]), metrics)


if __name__ == "__main__":
    main()
