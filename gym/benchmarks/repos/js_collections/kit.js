'use strict';

// Small operations on arrays and a cache that forgets what was used least recently.

function chunk(items, size) {
  const found = [];
  for (let start = 0; start < items.length; start += size) {
    found.push(items.slice(start, start + size));
  }
  return found;
}

function groupBy(items, key) {
  const found = {};
  for (const item of items) {
    const name = key(item);
    if (!(name in found)) {
      found[name] = [];
    }
    found[name].push(item);
  }
  return found;
}

function mergeIntervals(intervals) {
  const sorted = [...intervals].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const found = [];
  for (const [start, end] of sorted) {
    const last = found[found.length - 1];
    if (last && start <= last[1]) {
      last[1] = Math.max(last[1], end);
    } else {
      found.push([start, end]);
    }
  }
  return found;
}

function topological(edges) {
  const waiting = {};
  const after = {};
  for (const [from, to] of edges) {
    waiting[from] = waiting[from] || 0;
    waiting[to] = (waiting[to] || 0) + 1;
    after[from] = [...(after[from] || []), to];
  }
  const ready = Object.keys(waiting).filter((name) => waiting[name] === 0).sort();
  const order = [];
  while (ready.length > 0) {
    const name = ready.shift();
    order.push(name);
    for (const next of after[name] || []) {
      waiting[next] -= 1;
      if (waiting[next] === 0) {
        ready.push(next);
        ready.sort();
      }
    }
  }
  return order.length === Object.keys(waiting).length ? order : null;
}

function flatten(items, depth = 1) {
  const found = [];
  for (const item of items) {
    if (Array.isArray(item) && depth > 0) {
      found.push(...flatten(item, depth - 1));
    } else {
      found.push(item);
    }
  }
  return found;
}

class Cache {
  constructor(limit) {
    this.limit = limit;
    this.items = new Map();
  }

  get(key) {
    if (!this.items.has(key)) {
      return null;
    }
    const value = this.items.get(key);
    this.items.delete(key);
    this.items.set(key, value);
    return value;
  }

  set(key, value) {
    this.items.delete(key);
    this.items.set(key, value);
    if (this.items.size > this.limit) {
      this.items.delete(this.items.keys().next().value);
    }
  }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) {
    return sorted[middle];
  }
  return (sorted[middle - 1] + sorted[middle]) / 2;
}

module.exports = { chunk, groupBy, mergeIntervals, topological, flatten, Cache, median };
