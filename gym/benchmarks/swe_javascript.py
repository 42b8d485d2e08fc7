"""Repairs in JavaScript out of real packages of npm: what the stage `repositories` stored, as instances.

Nothing of a solver's tree is judged but its code files: the rest of the fresh tree, all tests among it, is the
package's own (gym/javascript/suite.py).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from gym.benchmarks.swe_instances import Instance
from gym.javascript.bugs import Bug, broken
from gym.javascript.hidden import without_tests
from gym.javascript.reach import refuse_if_found
from gym.javascript.store import Stored, read_all
from gym.javascript.suite import COMMAND, FOLDER, HARNESS, judged
from gym.sandbox import Box, SandboxError
from gym.sandbox.workspace import file_diff


def javascript_instances(box: Box, folder: Path, left_out: list[str]) -> Iterator[Instance]:
    """Every stored bug of the packages that this sandbox has no copy of.

    Args:
        left_out: takes a line on each package that is left out.
    """
    for stored in read_all(folder):
        try:
            refuse_if_found(box, stored.project)
        except SandboxError as error:
            left_out.append(str(error))
            continue
        yield from (_instance(stored, bug) for bug in stored.bugs)


def _instance(stored: Stored, bug: Bug) -> Instance:
    project = stored.project
    files = broken(project, bug.path, bug.edit)
    expected = {test: stored.baseline.seen[test] for test in (*bug.fail_to_pass, *bug.pass_to_pass)}

    def results(box: Box, code: Mapping[str, bytes]) -> dict[str, str]:
        return judged(box, project, {**files, **code}, expected)

    return Instance(
        f"npm__{bug.id}", f"npm/{project.name}", "javascript", bug.issue, solver_tree(stored, bug), bug.path,
        project.code, COMMAND, file_diff(bug.path, files[bug.path], project.files[bug.path]), bug.fail_to_pass,
        bug.pass_to_pass, expected, results,
    )  # fmt: skip


def solver_tree(stored: Stored, bug: Bug) -> dict[str, bytes]:
    """The package with the bug, its libraries, what runs its tests, and no test that is hidden."""
    project, baseline = stored.project, stored.baseline
    shown = set(baseline.seen) - set(bug.hidden)
    gone = [place for test, place in baseline.places.items() if test not in shown]  # or fails on the good package too
    kept = [place for test, place in baseline.places.items() if test in shown]
    suite = json.dumps({"tests": baseline.files, "code": project.code}).encode()
    harness = {f"{FOLDER}/{name}": content for name, content in HARNESS.items()}
    tree = without_tests(broken(project, bug.path, bug.edit), gone, kept)
    return {**tree, **project.libraries, **harness, f"{FOLDER}/suite.json": suite}
