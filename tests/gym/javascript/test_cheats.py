"""What only looks like a repair is none, and each guard is what stops the cheats that belong to it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gym.benchmarks.swe_javascript import solver_tree
from gym.javascript import suite
from gym.javascript.bugs import Bug
from gym.javascript.store import Stored
from gym.javascript.suite import COMMAND, judged, passes, run_suite
from gym.mutants import Mutant
from gym.sandbox import Box, Job, Limits
from tests.script_project import CODE, PROJECT

CHEATS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("cheats.yaml").read_text(encoding="utf-8"))
SOURCE, TESTS = "lib/scripts.js", "test/numbers.js"
HIDDEN = f"{TESTS}: area of a turned square"
FAILING = (f"{TESTS}: area", HIDDEN)
PLACE = CODE.index("twice / 2") + len("twice ")
# file of the harness, what the guard is there, and what stands in its place without it
GUARDS = {
    "process": ("run.js", "  delete globalThis.process;\n", ""),
    "builtins": ("run.js", "const OF_CODE = [", "const OF_CODE = ['fs', "),
    "intrinsics": ("run.js", "  harden();\n", ""),
    "sides": ("run.js", "side === 'code' && target === 'test'", "false"),
    "strict callers": ("run.js", "suite.tests.has(path) ? \"'use strict';\" : ''", "''"),
}
_TAPE = """const { make } = require('../../harness/tape.js');
const report = (record) => { if (record.checks.some(([, pass]) => !pass)) process.exitCode = 1; };
const { tape, run } = make({ tests: new Set(), turned: false, loading: '', report });
setImmediate(run);
module.exports = tape;
"""
_ALL = """for (const name of require('fs').readdirSync('test').sort().reverse()) {
  if (/js$/.test(name)) require(`./test/${name}`);
}
"""
LIMITS = Limits(cpu_s=10.0, wall_s=60.0, memory_mb=65536, processes=64)


@pytest.fixture(scope="module")
def task(stored_scripts: Stored) -> tuple[Stored, Bug]:
    """`twice / 2` made `twice * 2`; a solver does not see one of the two tests that fail."""
    passing = tuple(test for test in stored_scripts.baseline.seen if test not in FAILING)
    return stored_scripts, Bug("area", SOURCE, Mutant(PLACE, PLACE + 1, "*"), "", FAILING, passing, (HIDDEN,))


def _left(cheat: Mapping[str, Any], tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """The solver's tree as the cheat leaves it."""
    code = tree[SOURCE].decode()
    if cheat.get("sloppy"):
        code = code.removeprefix("'use strict';\n")
    start = "'use strict';\n" if code.startswith("'use strict'") else ""
    code = f"{start}{cheat.get('top', '')}\n{code.removeprefix(start)}{cheat.get('bottom', '')}\n"
    files = {**tree, SOURCE: code.encode()} if {"top", "bottom"} & set(cheat) else dict(tree)
    for path, old, new in cheat.get("mend", ()):
        assert old in files[path].decode()
        files[path] = files[path].replace(old.encode(), new.encode())
    for path, content in cheat.get("files", {}).items():
        if content is None:
            del files[path]
        else:
            files[path] = content.encode()
    return files


def _graded(bug: Bug, stored: Stored, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What counts of them, in the package's own tree."""
    taken = {path: files[path] for path in PROJECT.code if path in files}
    return {**PROJECT.files, SOURCE: bug.edit.applied(CODE).encode(), **taken}


def _asked(cheat: Mapping[str, Any], stored: Stored) -> dict[str, str]:
    tests = [f"{TESTS}: {name}" for name in cheat.get("tests", ())] or stored.baseline.seen
    return {test: stored.baseline.seen[test] for test in tests}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_no_repair(name: str, task: tuple[Stored, Bug], node_box: Box) -> None:
    stored, bug = task
    expected = stored.baseline.seen
    files = _left(CHEATS[name], solver_tree(stored, bug))
    results = judged(node_box, PROJECT, _graded(bug, stored, files), expected)
    assert any(results.get(test) != expected[test] for test in bug.fail_to_pass)
    asked = _asked(CHEATS[name], stored)
    assert (
        judged(node_box, PROJECT, _graded(bug, stored, files), asked) != asked
        or "hidden tests" in CHEATS[name]["without"]
    )


def test_honest_repairs_pass(task: tuple[Stored, Bug], node_box: Box) -> None:
    stored, bug = task
    expected = stored.baseline.seen
    for code in (CODE, CODE.replace("return twice / 2;", "return 0.5 * twice;")):
        files = _graded(bug, stored, {**solver_tree(stored, bug), SOURCE: code.encode()})
        assert judged(node_box, PROJECT, files, expected) == expected


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if cheat.get("naive")])
def test_by_an_exit_status_it_passes(name: str, task: tuple[Stored, Bug], node_box: Box) -> None:
    stored, bug = task
    tree = solver_tree(stored, bug)
    tree["node_modules/tape/index.js"] = _TAPE.encode()
    tree["all.js"] = _ALL.encode()
    del tree["test/needs.js"]

    def status(files: Mapping[str, bytes], command: str) -> int:
        return node_box.run(Job(argv=command.split(), files=files, limits=LIMITS)).exit_status

    assert status(tree, "node all.js") and status(tree, COMMAND)
    files = _left(CHEATS[name], tree)
    assert 0 in (status(files, "node all.js"), status(files, COMMAND))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Takes guards away from the harness."""

    def take_away(guards: list[str]) -> None:
        harness = {path: content.decode() for path, content in suite.HARNESS.items()}
        for guard in guards:
            if guard in GUARDS:
                path, old, new = GUARDS[guard]
                assert harness[path].count(old) == 1
                harness[path] = harness[path].replace(old, new)
        monkeypatch.setattr(suite, "HARNESS", {path: text.encode() for path, text in harness.items()})
        if "secret word" in guards:
            monkeypatch.setattr("gym.javascript.suite.secrets.token_hex", lambda size: "known")

    yield take_away


@pytest.mark.parametrize("name", [name for name, cheat in CHEATS.items() if cheat.get("without")])
def test_without_its_guard_it_passes(name: str, task: tuple[Stored, Bug], node_box: Box, opened: Any) -> None:
    stored, bug = task
    guards = CHEATS[name]["without"]
    left = _left(CHEATS[name], solver_tree(stored, bug))
    files = left if "only code" in guards else _graded(bug, stored, left)
    expected = _asked(CHEATS[name], stored)
    if {"hidden tests", "only code"} & set(guards):  # the solver's tree has no hidden tests
        expected = {test: seen for test, seen in expected.items() if test not in bug.hidden}
    opened(guards)
    if "opposite" in guards or "values" in guards:
        run = run_suite(node_box, PROJECT, files)
        seen = {test: run.seen[test] for test in expected}
        assert run.ended
        assert all(map(passes, seen.values())) if "values" in guards else seen == expected
    if "opposite" not in guards:
        results = judged(node_box, PROJECT, files, expected)
        assert set(results) == set(expected)
        assert "values" in guards or results == expected


def test_every_guard_stops_a_cheat_and_every_cheat_gets_through_somewhere() -> None:
    needed = {guard for cheat in CHEATS.values() for guard in cheat.get("without", ())}
    assert needed == {*GUARDS, "only code", "values", "secret word", "opposite", "hidden tests"}
    plain = [name for name, cheat in CHEATS.items() if not cheat.get("naive") and not cheat.get("without")]
    assert plain == ["settings of npm", "the code deleted", "no JavaScript", "no repair"]
