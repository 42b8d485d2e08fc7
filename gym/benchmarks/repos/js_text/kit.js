'use strict';

// Small operations on text.

function camelToSnake(name) {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

function slug(text) {
  return text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part.length > 0)
    .join('-');
}

function truncate(text, length) {
  if (text.length <= length) {
    return text;
  }
  return text.slice(0, Math.max(0, length - 3)) + '...';
}

function levenshtein(a, b) {
  let before = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const now = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = before[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      now.push(Math.min(swap, before[j] + 1, now[j - 1] + 1));
    }
    before = now;
  }
  return before[b.length];
}

function parseQuery(query) {
  const found = {};
  for (const part of query.replace(/^\?/, '').split('&')) {
    if (part === '') {
      continue;
    }
    const place = part.indexOf('=');
    const key = place < 0 ? part : part.slice(0, place);
    const value = place < 0 ? '' : part.slice(place + 1);
    found[decodeURIComponent(key)] = decodeURIComponent(value);
  }
  return found;
}

function formatBytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? n : n.toFixed(1)} ${units[unit]}`;
}

function balanced(text) {
  const open = { ')': '(', ']': '[', '}': '{' };
  const stack = [];
  for (const sign of text) {
    if ('([{'.includes(sign)) {
      stack.push(sign);
    } else if (sign in open && stack.pop() !== open[sign]) {
      return false;
    }
  }
  return stack.length === 0;
}

module.exports = { camelToSnake, slug, truncate, levenshtein, parseQuery, formatBytes, balanced };
