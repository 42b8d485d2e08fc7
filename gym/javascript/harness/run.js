'use strict';
// Runs the tests of this repository: `node harness/run.js [FILE …]`.
// With `-` it reads { secret, files, tests, code, turned } from standard input and marks each line by the secret word.
const fs = require('fs');
const vm = require('vm');
const { posix } = require('path');
const { harden } = require('./intrinsics.js');
const { make } = require('./tape.js');

const OF_CODE = ['buffer', 'events', 'punycode', 'querystring', 'string_decoder', 'url', 'util'];
const OF_TESTS = [...OF_CODE, 'assert'];
const host = process;

const fromDisk = (named) => {
  const files = {};
  const walk = (folder) => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (/\.(js|cjs|json)$/.test(path)) files[path] = fs.readFileSync(path, 'utf8');
    }
  };
  walk('.');
  const { tests, code } = JSON.parse(fs.readFileSync(posix.join(__dirname, 'suite.json'), 'utf8'));
  return { files, tests: named.length ? named : tests, code, turned: false };
};

const asked = host.argv[2] === '-' ? JSON.parse(fs.readFileSync(0, 'utf8')) : fromDisk(host.argv.slice(2));
const { secret, tests, code, turned } = asked;
const files = new Map(Object.entries(asked.files));
const own = new Set(code);
const folders = new Set(tests.map((path) => posix.dirname(path)));

let failures = 0, count = 0;
const say = (record) => {
  count += 1;
  const bad = record.error || record.failed.length || record.checks.some(([, pass]) => !pass);
  failures += Boolean(bad);
  if (secret) {
    fs.writeSync(1, `${secret} ${JSON.stringify(record)}\n`);
    return;
  }
  if (!bad) return;
  let lines = `not ok - ${record.id}\n`;
  if (record.error) lines += `    ${record.error}\n`;
  for (const { op, at, actual, expected } of record.failed) {
    lines += `    ${op} at ${at ? at.join(':') : '?'}\n      actual:   ${actual}\n      expected: ${expected}\n`;
  }
  fs.writeSync(1, lines);
};

const suite = { tests: new Set(tests), turned, report: say, loading: '' };
const { tape, run } = make(suite);
const builtins = new Map(OF_TESTS.map((name) => [name, require(name)]));

// Tests and code have a copy each of every library, and code finds no file of tests.
const loaded = { test: new Map(), code: new Map() };

const find = (path) => [path, `${path}.js`, `${path}.json`, `${path}.cjs`].find((one) => files.has(one));
const resolve = (path) => {
  const direct = find(path);
  if (direct || !files.has(posix.join(path, 'package.json'))) return direct ?? find(posix.join(path, 'index'));
  const { main = 'index.js' } = JSON.parse(files.get(posix.join(path, 'package.json')));
  return find(posix.join(path, main)) ?? find(posix.join(path, main, 'index'));
};
const sideOf = (path, from) => {
  if (path.startsWith('node_modules/')) return from;
  return !own.has(path) && [...folders].some((folder) => path.startsWith(`${folder}/`)) ? 'test' : 'code';
};

const load = (path, side) => {
  const known = loaded[side];
  if (known.has(path)) return known.get(path).exports;
  const module = { exports: {}, id: path, filename: path, loaded: false };
  known.set(path, module);
  const source = files.get(path).replace(/^\uFEFF/, '').replace(/^#!.*/, '');
  if (path.endsWith('.json')) return (module.exports = JSON.parse(source));
  const strict = suite.tests.has(path) ? "'use strict';" : ''; // a strict caller can't be looked at
  const names = ['exports', 'require', 'module', '__filename', '__dirname'];
  const body = vm.compileFunction(strict + source, names, { filename: path });
  body.call(module.exports, module.exports, (name) => required(String(name), path, side), module, path, posix.dirname(path));
  module.loaded = true;
  return module.exports;
};

const required = (asked_name, from, side) => {
  const name = asked_name.replace(/^node:/, '');
  if (name === 'tape' && side === 'test') return tape;
  const relative = /^\.\.?(\/|$)/.test(name);
  if (!relative && (side === 'test' ? OF_TESTS : OF_CODE).includes(name) && !files.has(`node_modules/${name}/package.json`)) {
    return builtins.get(name);
  }
  const path = resolve(posix.join(relative ? posix.dirname(from) : 'node_modules', name));
  const target = path && sideOf(path, side);
  if (!path || (side === 'code' && target === 'test')) throw new Error(`Cannot find module '${name}'`);
  return load(path, target);
};

const main = async () => {
  delete globalThis.process;
  const quiet = () => {};
  Object.defineProperty(globalThis, 'console', { value: Object.freeze({ log: quiet, error: quiet, warn: quiet, info: quiet }) });
  harden();
  for (const path of tests) {
    suite.loading = path;
    try {
      load(path, 'test');
    } catch (error) {
      say({ id: path, error: `${error.name}: ${error.message}`.split('\n')[0], checks: [], failed: [] });
    }
  }
  await run();
  const total = count;
  if (secret) fs.writeSync(1, `${secret} ${JSON.stringify({ end: total })}\n`);
  else fs.writeSync(1, `${total} tests, ${failures} failed\n`);
  host.exit(secret || !failures ? 0 : 1);
};

main();
