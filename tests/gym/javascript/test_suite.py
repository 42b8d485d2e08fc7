import json
from dataclasses import replace

import pytest

from gym.javascript.bugs import LIMITS, measure
from gym.javascript.project import Project
from gym.javascript.store import Stored
from gym.javascript.suite import judged, passes, run_suite
from gym.repositories.errors import RepositoryError
from gym.sandbox import Box
from tests.script_project import CODE, PROJECT


def _suite(text: str, code: str = "", **files: str) -> Project:
    given = {"index.js": code, "test/a.js": f"const test = require('tape');\n{text}", **files}
    return Project(
        "made", "1", {path: held.encode() for path, held in given.items()}, {}, ("index.js",), ("test/a.js",)
    )


def test_what_each_test_saw(stored_scripts: Stored) -> None:
    seen = stored_scripts.baseline.seen
    assert json.loads(seen["test/numbers.js: clamp > cuts"]) == [["equal", True, "1"], ["equal", True, "3"]]
    words = [["deepEqual", True, "[ 'a' ]"], ["throws", True, ""]]
    assert json.loads(seen["test/texts.js: words #2"]) == words  # a name that is there twice
    assert "test/numbers.js: clamp" not in seen  # no assertion of its own
    assert stored_scripts.baseline.places["test/texts.js: count"] == ("test/texts.js", 18, 1)
    assert stored_scripts.baseline.left_out == {
        "without an assertion": 1, "failed": 1, "changing": 1, "file without a library": 1,
    }  # fmt: skip


ASSERTIONS = """
const fails = (name, body) => test(name, (t) => { body(t); t.end(); });
fails('equal', (t) => t.equal(0, -0));
fails('deepEqual', (t) => t.deepEqual({ a: 1 }, { a: '1' }));
fails('prototypes', (t) => t.deepEqual(Object.create(null), {}));
fails('notEqual', (t) => t.notEqual(NaN, NaN));
fails('notDeepEqual', (t) => t.notDeepEqual([1], [1]));
fails('ok', (t) => t.ok(''));
fails('notOk', (t) => t.notOk('x'));
fails('throws', (t) => t.throws(() => 1));
fails('throws another', (t) => t.throws(() => { throw new TypeError('x'); }, /z/));
fails('throws of another kind', (t) => t.throws(() => { throw new TypeError('x'); }, RangeError));
fails('throws with another property', (t) => t.throws(() => { throw new TypeError('x'); }, { message: 'y' }));
fails('doesNotThrow', (t) => t.doesNotThrow(() => { throw new Error('x'); }));
fails('match', (t) => t.match('abc', /d/));
fails('fail', (t) => t.fail());
fails('error', (t) => t.error(new Error('x')));
fails('crash', (t) => { t.ok(1); null.x; });
test('end with an error', (t) => t.end(new Error('x')));
test('plan', (t) => { t.plan(1); t.ok(1); t.ok(1); });
test('later', (t) => setTimeout(() => { t.equal(1, 2); t.end(); }, 5));
test('promise', async (t) => { await null; throw new Error('x'); });
"""
GOOD = """
test('all', (t) => {
  t.comment('x');
  t.same([1, { a: new Map([[1, 2]]) }], [1, { a: new Map([[1, 2]]) }]);
  t.throws(() => { throw new TypeError('x'); }, { name: 'TypeError', message: /x/ });
  t.throws(() => { throw new TypeError('x'); }, 'a message');
  t.match('abc', /b/);
  t.isNot(1, 2);
  t.pass();
  t.end();
});
test('planned', (t) => { t.plan(2); setTimeout(() => t.equal(1, 1), 5); t.test('sub', (st) => st.end()); });
test('async', async (t) => { await null; t.ok(1); });
test.skip('skipped', (t) => t.fail());
test('skipped too', { skip: true }, (t) => t.fail());
class Own extends Error { constructor() { super('x'); this.name = 'Own'; } }
test('override', (t) => {
  const one = { __proto__: Array.prototype };
  one.toString = () => 'one';
  t.equal(`${one} ${new Own()}`, 'one Own: x');
  t.end();
});
"""


def test_assertions_of_tape(node_box: Box) -> None:
    project = _suite(ASSERTIONS)
    run = run_suite(node_box, project, project.files)
    assert run.ended and len(run.seen) == 20
    assert [test for test, seen in run.seen.items() if passes(seen)] == []
    project = _suite(GOOD)
    run = run_suite(node_box, project, project.files)
    assert run.ended
    assert {test: passes(seen) for test, seen in run.seen.items()} == {
        f"test/a.js: {name}": True for name in ("all", "planned > sub", "planned", "async", "override")
    }


def test_a_test_that_never_ended_is_absent(node_box: Box) -> None:
    project = _suite(
        "test('one', (t) => { t.ok(1); t.end(); }); test('two', (t) => t.ok(1)); test('three', (t) => t.end());"
    )
    run = run_suite(node_box, project, project.files)
    assert list(run.seen) == ["test/a.js: one"] and not run.ended
    endless = _suite(
        "const f = require('..'); test('one', (t) => { f(); t.end(); });", "module.exports = () => { for (;;); };"
    )
    run = run_suite(node_box, endless, endless.files, limits=replace(LIMITS, cpu_s=1.0))
    assert not run.seen and not run.ended
    with pytest.raises(RepositoryError, match="made: its tests come to no end in the sandbox"):
        measure(node_box, project)


def test_a_test_of_equality_fails_when_it_is_turned(node_box: Box, stored_scripts: Stored) -> None:
    run = run_suite(node_box, PROJECT, PROJECT.files, turned=True)
    turned = {test for test, seen in stored_scripts.baseline.seen.items() if "qual" in seen}
    assert turned and not any(passes(run.seen[test]) for test in turned)


def test_values_are_compared_not_verdicts(node_box: Box, stored_scripts: Stored) -> None:
    expected = stored_scripts.baseline.seen
    assert judged(node_box, PROJECT, PROJECT.files, expected) == expected
    wrong = {**PROJECT.files, "lib/scripts.js": CODE.replace("twice / 2", "twice / 4").encode()}
    results = judged(node_box, PROJECT, wrong, expected)
    assert {test for test in expected if results.get(test) != expected[test]} == {
        "test/numbers.js: area", "test/numbers.js: area of a turned square",
    }  # fmt: skip
    another = {**expected, "test/numbers.js: area": '[["equal", true, "8"]]'}
    assert judged(node_box, PROJECT, PROJECT.files, another) != another
