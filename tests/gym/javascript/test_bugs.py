from dataclasses import replace
from pathlib import Path

from gym.javascript.bugs import broken, find_bugs, measure
from gym.javascript.store import Stored, read_all, write
from gym.javascript.suite import judged
from gym.sandbox import Box
from tests.script_project import PROJECT


def test_every_bug_is_proven(node_box: Box, stored_scripts: Stored) -> None:
    assert len(stored_scripts.bugs) == 3
    expected = stored_scripts.baseline.seen
    for bug in stored_scripts.bugs:
        files = broken(PROJECT, bug.path, bug.edit)
        results = judged(node_box, PROJECT, files, expected)
        assert tuple(test for test in expected if results[test] != expected[test]) == bug.fail_to_pass
        assert bug.pass_to_pass and set(bug.fail_to_pass) | set(bug.pass_to_pass) == set(expected)
        assert bug.path not in bug.issue and "scripts.js" not in bug.issue
        assert set(bug.hidden) & set(bug.fail_to_pass) or len(bug.fail_to_pass) == 1
    functions = {PROJECT.files[bug.path].decode().rfind("function", 0, bug.edit.start) for bug in stored_scripts.bugs}
    assert len(functions) == 3  # one in each


def test_equal_seeds_give_equal_bytes(node_box: Box, stored_scripts: Stored, tmp_path: Path) -> None:
    baseline = measure(node_box, PROJECT)
    bugs, reasons = find_bugs(node_box, PROJECT, baseline, 3, seed=5)
    for name, stored in (("a", stored_scripts), ("b", Stored(PROJECT, baseline, tuple(bugs)))):
        write(tmp_path / name, stored)
    assert (tmp_path / "a/inkscripts.tar").read_bytes() == (tmp_path / "b/inkscripts.tar").read_bytes()
    assert reasons["proven"] == 3
    assert read_all(tmp_path / "a") == [stored_scripts]
    assert read_all(tmp_path / "nowhere") == []


def test_a_bug_that_its_issue_tells_in_full_is_none(node_box: Box) -> None:
    one = b"""const test = require('tape');
const { area } = require('..');
test('only one', (t) => { t.equal(area([{ x: 0, y: 0 }, { x: 2, y: 0 }, { x: 2, y: 2 }]), 2); t.end(); });
test('another', (t) => { t.equal(1, 1); t.end(); });
"""
    project = replace(PROJECT, files={**PROJECT.files, "test/texts.js": one}, tests=("test/texts.js",))
    bugs, reasons = find_bugs(node_box, project, measure(node_box, project), 1, seed=1)
    assert not bugs and reasons["all that fails is told"]
