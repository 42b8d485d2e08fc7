'use strict';
// What `tape` offers to tests, and the judge of their assertions. A test reports what every assertion saw.
const { inspect, isDeepStrictEqual, types } = require('util');

const SHOWN = { depth: Infinity, sorted: true, customInspect: false, showHidden: false, showProxy: false, getters: false,
  colors: false, compact: true, numericSeparator: false, breakLength: Infinity, maxArrayLength: Infinity,
  maxStringLength: Infinity };
const text = (value) => inspect(value, SHOWN).replace(/\n\s+at [^\n]*/g, '');

const equal = (a, b) => !types.isProxy(a) && Object.is(a, b);
const deepEqual = (a, b) => !types.isProxy(a) && isDeepStrictEqual(a, b);

const told = (error) => {
  try {
    return `${error.name}: ${error.message}`;
  } catch {
    return text(error);
  }
};

const expectedError = (error, wanted) => {
  if (wanted === undefined || typeof wanted === 'string') return true;
  if (types.isRegExp(wanted)) return wanted.test(told(error));
  if (typeof wanted === 'function') return error instanceof wanted;
  return Object.keys(wanted).every((key) => (types.isRegExp(wanted[key]) ? wanted[key].test(error[key])
    : isDeepStrictEqual(error[key], wanted[key])));
};

const NAMES = {
  equal: ['equal', 'equals', 'isEqual', 'is', 'strictEqual', 'strictEquals'],
  notEqual: ['notEqual', 'notEquals', 'isNotEqual', 'isNot', 'not', 'notStrictEqual', 'notStrictEquals'],
  deepEqual: ['deepEqual', 'deepEquals', 'isEquivalent', 'same'],
  notDeepEqual: ['notDeepEqual', 'notDeepEquals', 'notEquivalent', 'notSame', 'isNotDeepEqual'],
  ok: ['ok', 'true', 'assert'],
  notOk: ['notOk', 'false', 'notok'],
  error: ['error', 'ifError', 'ifErr', 'iferror'],
};

// suite: { tests, turned, report }; `turned` judges equality by its opposite.
exports.make = (suite) => {
  const counts = new Map();
  const queue = [];

  const place = (stack) => {
    for (const line of String(stack).split('\n')) {
      const found = /([^\s(]+):(\d+):(\d+)\)?$/.exec(line);
      if (found && suite.tests.has(found[1])) return [found[1], Number(found[2]), Number(found[3])];
    }
    return null;
  };

  const create = (names, given, children) => {
    const name = given.find((one) => typeof one === 'string') ?? '';
    const body = given.find((one) => typeof one === 'function');
    const options = given.find((one) => one && typeof one === 'object') ?? {};
    if (options.skip || options.todo || !body) return;
    const at = place(new Error().stack);
    const path = [...names, name];
    const plain = `${at ? at[0] : suite.loading}: ${path.join(' > ')}`;
    counts.set(plain, (counts.get(plain) ?? 0) + 1);
    const id = counts.get(plain) > 1 ? `${plain} #${counts.get(plain)}` : plain;
    children.push({ id, at, path, body });
  };

  const run = async ({ id, at, path, body }) => {
    const checks = [], failed = [], children = [], last = [];
    let planned = null, count = 0, finish;
    const ended = new Promise((resolve) => { finish = resolve; });

    const advance = () => { if (++count === planned) finish(); };
    const check = (op, right, seen, actual, expected) => {
      const pass = suite.turned && (op === 'equal' || op === 'deepEqual') ? !right : right;
      checks.push([op, pass, seen]);
      if (!pass) failed.push({ op, at: place(new Error().stack), actual, expected });
      advance();
    };
    const compare = (op, right) => (a, b) => check(op, right(a, b), /^not/.test(op) ? '' : text(a), text(a), text(b));
    const truth = (op, right) => (a, b) => check(op, right(a), '', text(a), op);
    const attempt = (op, wanted) => (action, expected) => {
      let error, thrown = false;
      try {
        action();
      } catch (caught) {
        [error, thrown] = [caught, true];
      }
      const right = wanted ? thrown && expectedError(error, expected) : !thrown;
      check(op, right, '', thrown ? `an error, ${told(error)}` : 'no error', wanted ? 'an error' : 'no error');
    };
    const judges = {
      equal: compare('equal', equal),
      notEqual: compare('notEqual', (a, b) => !Object.is(a, b)),
      deepEqual: compare('deepEqual', deepEqual),
      notDeepEqual: compare('notDeepEqual', (a, b) => !isDeepStrictEqual(a, b)),
      ok: truth('ok', (a) => Boolean(a)),
      notOk: truth('notOk', (a) => !a),
      error: truth('error', (a) => !a),
    };
    const t = { name: path.at(-1) };
    for (const [op, names] of Object.entries(NAMES)) for (const name of names) t[name] = judges[op];
    t.match = (string, pattern) => check('match', pattern.test(string), '', text(string), text(pattern));
    t.doesNotMatch = (string, pattern) => check('doesNotMatch', !pattern.test(string), '', text(string), text(pattern));
    t.throws = attempt('throws', true);
    t.doesNotThrow = attempt('doesNotThrow', false);
    t.pass = () => check('pass', true, '', '', '');
    t.fail = (message) => check('fail', false, '', text(message), '');
    t.comment = t.skip = () => {};
    t.teardown = (action) => { last.push(action); };
    t.plan = (number) => { planned = number; };
    t.end = (error) => {
      if (error) check('error', false, '', told(error), 'no error');
      finish();
    };
    t.test = (...given) => create(path, given, children);
    t.test.skip = t.skip;

    const crash = (error) => {
      checks.push(['exception', false, '']);
      failed.push({ op: 'exception', at: place(error?.stack), actual: `an error, ${told(error)}`, expected: 'no error' });
      finish();
    };
    try {
      const given = body(Object.freeze(t));
      if (given && typeof given.then === 'function') given.then(() => { if (planned === null) finish(); }, crash);
    } catch (error) {
      crash(error);
    }
    if (children.length && planned === null) finish();
    for (const child of children) {
      await run(child);
      advance();
    }
    await ended;
    for (const action of last) action();
    if (planned !== null && planned !== count) checks.push(['plan', false, `${count}`]);
    suite.report({ id, at, path, checks, failed: failed.slice(0, 8) });
  };

  const test = (...given) => create([], given, queue);
  test.test = test;
  test.skip = () => {};
  return { tape: Object.freeze(test), run: async () => { for (const one of queue) await run(one); } };
};
