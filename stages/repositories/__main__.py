"""`python -m stages.repositories`: real repositories with proven bugs, issues that tell of them, and hidden tests."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from agents.chat.losses import listed
from agents.chat.protocol import ChatClient, ChatError, ChatRefusal, ChatRequest
from agents.chat.spec import is_endpoint
from gym.repositories.errors import RepositoryError
from gym.repositories.project import Project
from gym.repositories.store import LIBRARIES, write_project
from gym.sandbox import SandboxError
from stages.harness.endpoint import EndpointParams
from stages.harness.errors import InputError
from stages.harness.files import write_atomic, write_json
from stages.harness.section import load_section
from stages.harness.stage import Stage
from stages.harness.tables import REPAIRS, write_table
from stages.harness.teacher import Teacher
from stages.repositories.card import card, measure
from stages.repositories.making import Made, Wanted, Helping, make, read_project
from stages.repositories.params import RepositoriesParams
from stages.tracking.runs import Track

OUT, FOLDER = Path("data/repairs.parquet"), Path("data/repositories")
CARD = Path("data/repairs_card.md")
FETCHED = Path("work/repositories-fetched")  # archives, libraries and baselines, which no parameter changes
LEAST = 2  # packages to learn from, where as many are asked for
MAX_TOKENS = 2048

OwnStage = Stage[RepositoriesParams]


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


def every(stage: OwnStage, todo: list[Wanted], found: Mapping[str, Project], helping: Helping) -> dict[str, Made]:
    """What came of each repository, by its name; what a killed run finished is found again."""
    seed, threads = stage.seed32("bugs"), stage.common.threads
    ready = [one for one in todo if one.source in found]
    workers = max(1, threads // max(1, len(ready)))

    def one_of(one: Wanted) -> Made:
        project = found[one.source]
        path = stage.work / f"{project.name}.json"
        if not path.exists():
            write_json(path, asdict(make(one, project, FETCHED, seed, helping, workers)))
        return Made(**json.loads(path.read_text(encoding="utf-8")))

    made: dict[str, Made] = {}
    with ThreadPoolExecutor(threads) as pool, stage.progress(len(ready), "repository") as progress:
        for one, later in [(one, pool.submit(one_of, one)) for one in ready]:
            try:
                made[found[one.source].name] = later.result()
            except (RepositoryError, SandboxError) as error:
                key = "own" if one.own else "packages"
                raise InputError(f"repositories.{key}: {error}; leave it out") from None
            progress.update(1)
    return made


def main() -> None:
    with Stage("repositories", RepositoriesParams, Track) as stage:
        p = stage.params
        endpoint = load_section("endpoint", EndpointParams)
        todo = wanted(p)
        found, missing = projects(p, todo)
        with Teacher(p.teacher, endpoint, stage.common.threads) as teacher:
            try:
                asked = (lambda prompt: teacher.submit(answer, prompt).result()) if is_endpoint(p.teacher) else None
                made = every(stage, todo, found, Helping(asked, p.rewritten, p.worded))
                losses = teacher.settle()
            except ChatError as error:
                raise InputError(f"repositories.teacher: {error}") from None
        rows = [row for one in made.values() for row in one.rows]
        write_table(OUT, rows, REPAIRS)
        with write_atomic(FOLDER) as tmp:
            for name in sorted({row["project"] for row in rows}):
                (project,) = (one for one in found.values() if one.name == name)
                write_project(tmp, project, FETCHED / LIBRARIES)
        with write_atomic(CARD) as tmp:
            tmp.write_text(card(made, missing, teacher.model, stage.seed32("card")), encoding="utf-8")
        metrics = measure(made) | {"left_out": len(missing), "requests_failed": losses.failed}
        line = f"{metrics['tasks']:,.0f} tasks to learn from and {metrics['held_tasks']:,.0f} held, of {len(made)} "
        line += f"repositories; {metrics['proven_share']:.0%} of {metrics['candidates']:,.0f} candidates proven"
        if missing:
            line += f"; left out: {listed(sorted(missing))}"
        stage.finish(line, metrics)


if __name__ == "__main__":
    main()
