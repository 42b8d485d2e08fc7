'use strict';
// Code under test shares its objects with the tests and with their judge. After `harden` it can change none of those
// that the language itself brings, so `Array.prototype.forEach` and `JSON.parse` of a test are the real ones.
const vm = require('vm');

const OF_NODE = ['Buffer', 'URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'structuredClone', 'queueMicrotask',
  'setTimeout', 'setImmediate', 'setInterval', 'clearTimeout', 'clearImmediate', 'clearInterval'];

const settle = (owner, key) => {
  const found = Object.getOwnPropertyDescriptor(owner, key);
  if (!found.configurable || (owner === Error && key === 'stackTraceLimit')) return;
  if (!found.writable || key === 'constructor') { // by which values are shown
    Object.defineProperty(owner, key, 'value' in found ? { writable: false, configurable: false } : { configurable: false });
    return;
  }
  // An assignment to an object that inherits the property makes one of its own, as before.
  const get = () => found.value;
  get.originalValue = found.value; // tells `get-intrinsic` that the value is meant
  const set = function (value) {
    if (this === owner) throw new TypeError(`${String(key)} can't be changed`);
    Object.defineProperty(this, key, { value, writable: true, enumerable: true, configurable: true });
  };
  Object.defineProperty(owner, key, { get, set, enumerable: found.enumerable, configurable: false });
};

exports.harden = () => {
  const names = [...vm.runInNewContext('Object.getOwnPropertyNames(globalThis)'), ...OF_NODE];
  const seen = new Set([undefined, globalThis]);
  const reach = (value) => {
    if (seen.has(value) || value === null || (typeof value !== 'object' && typeof value !== 'function')) return;
    seen.add(value);
    reach(Object.getPrototypeOf(value));
    for (const key of Reflect.ownKeys(value)) {
      const { value: held, get, set } = Object.getOwnPropertyDescriptor(value, key);
      [held, get, set].forEach(reach);
    }
  };
  for (const name of names) if (name in globalThis) reach(globalThis[name]);
  for (const made of [[].values(), ''[Symbol.iterator](), new Map().values(), new Set().values(), ''.matchAll(/a/g),
    function* () {}, async () => {}, async function* () {}, (function* () {})(), (async function* () {})()]) {
    reach(Object.getPrototypeOf(made));
  }
  seen.delete(undefined);
  seen.delete(globalThis);
  const places = [...seen].flatMap((owner) => Reflect.ownKeys(owner).map((key) => [owner, key]));
  for (const [owner, key] of places) settle(owner, key);
  for (const owner of seen) Object.preventExtensions(owner);
  for (const name of names) {
    const found = Object.getOwnPropertyDescriptor(globalThis, name);
    if (found && found.configurable) {
      Object.defineProperty(globalThis, name, { value: globalThis[name], writable: false, configurable: false });
    }
  }
};
