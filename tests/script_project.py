"""Plugin: a small package in JavaScript with a suite of tape, and tasks made of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym.javascript.bugs import Bug, find_bugs, measure
from gym.javascript.project import Project
from gym.javascript.store import Stored, write
from gym.sandbox import LOCAL, Box
from gym.sandbox.programs import has_program

CODE = r"""'use strict';

// Numbers and words: clamp(5, 1, 3) === 3.
function clamp(value, low, high) {
  if (value < low) return low;
  if (value > high) return high;
  return value;
}

function words(text) {
  const found = [];
  for (const part of text.split(/[\s"'`/]+/)) {
    if (part !== '') found.push(part);
  }
  return found;
}

function area(points) {
  let twice = 0;
  for (let i = 0; i < points.length; i += 1) {
    const next = points[(i + 1) % points.length];
    twice += points[i].x * next.y - next.x * points[i].y;
  }
  return twice / 2;
}

function count(text) {
  const found = {};
  words(text).forEach(function (word) { found[word] = (found[word] || 0) + 1; });
  return found;
}

module.exports = { clamp, words, area, count };
"""
NUMBERS = """const test = require('tape');
const { clamp, area } = require('..');
const cases = require('./cases.json');

function judge(t, points, expected) {
  t.equal(area(points), expected);
}

test('clamp', (t) => {
  t.test('keeps what is between', (st) => {
    st.equal(clamp(2, 1, 3), 2);
    st.end();
  });
  t.test('cuts', (st) => {
    st.equal(clamp(0, 1, 3), 1);
    st.equal(clamp(9, 1, 3), 3);
    st.end();
  });
  t.test('cuts below zero', (st) => {
    st.plan(2);
    st.equal(clamp(-9, -3, -1), -3);
    st.equal(clamp(0, -3, -1), -1);
  });
});

test('area', (t) => {
  cases.forEach((one) => judge(t, one.points, one.area));
  t.end();
});

test('area of a turned square', async (t) => {
  t.equal(area([{ x: 0, y: 0 }, { x: 0, y: 2 }, { x: 2, y: 2 }, { x: 2, y: 0 }]), -4);
});
"""
TEXTS = """'use strict';
var tape = require('tape');
var scripts = require('../');
var { count } = scripts;

tape('words', function (t) {
    t.deepEqual(scripts.words('one two/three'), ['one', 'two', 'three']);
    t.deepEqual(scripts.words(''), []);
    t.end();
});

tape('words', function (t) {
    t.deepEqual(scripts.words(' a '), ['a']);
    t.throws(function () { scripts.words(null); }, TypeError);
    t.end();
});

tape('count', function (t) {
    t.deepEqual(scripts.count('a b a'), { a: 2, b: 1 });
    t.deepEqual(count('"x"'), { x: 1 });
    t.end();
});

tape('the time', function (t) {
    t.equal(scripts.clamp(Date.now() + Math.random(), 1, Infinity) > 0, true);
    t.ok(scripts.clamp(Math.random(), 0, 1) <= 1);
    t.end();
});

tape('changes each time', function (t) {
    var number = Math.random();
    t.equal(scripts.clamp(number, 0, 1), number);
    t.end();
});

tape('fails', function (t) {
    t.equal(scripts.clamp(1, 2, 3), 1);
    t.end();
});
"""
_SQUARE = [{"x": 0, "y": 0}, {"x": 3, "y": 0}, {"x": 3, "y": 3}, {"x": 0, "y": 3}]
CASES = [{"points": _SQUARE, "area": 9}, {"points": _SQUARE[:3], "area": 4.5}, {"points": [], "area": 0}]
PROJECT = Project(
    "inkscripts",
    "1.0.0",
    {
        "package.json": b'{"name": "inkscripts", "version": "1.0.0", "main": "lib/scripts"}',
        "lib/scripts.js": CODE.encode(),
        "test/numbers.js": NUMBERS.encode(),
        "test/texts.js": TEXTS.encode(),
        "test/needs.js": b"require('tape')('x', require('nowhere'));\n",
        "test/cases.json": json.dumps(CASES).encode(),
    },
    {},
    ("lib/scripts.js",),
    ("test/needs.js", "test/numbers.js", "test/texts.js"),
)


@pytest.fixture(scope="session")
def node_box() -> Iterator[Box]:
    """A sandbox in which node runs."""
    with LOCAL.open(workers=1) as box:
        if not has_program(box, "node"):
            pytest.skip("node does not run in the sandbox here")
        yield box


@pytest.fixture(scope="session")
def stored_scripts(node_box: Box) -> Stored:
    """The package with three bugs."""
    baseline = measure(node_box, PROJECT)
    bugs: list[Bug]
    bugs, _ = find_bugs(node_box, PROJECT, baseline, 3, seed=5)
    return Stored(PROJECT, baseline, tuple(bugs))


@pytest.fixture(scope="session")
def scripts_folder(stored_scripts: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the stage `repositories` leaves it."""
    folder = tmp_path_factory.mktemp("scripts")
    write(folder, stored_scripts)
    return folder
