import assert from 'node:assert/strict';
import test from 'node:test';

import { loadConfig } from '../src/config.js';
import { duration } from '../src/durations.js';
import { parse } from '../src/yaml.js';

test('reads what we use of YAML', () => {
  const text = 'a: 1\nb:\n  d:\n    e: true # yes\n\nf: http://h:80/\n';
  assert.deepEqual(parse(text), { a: 1, b: { d: { e: true } }, f: 'http://h:80/' });
  assert.throws(() => parse('- a', 'f.yaml'), /f.yaml:1/);
});

test('production lies on top of the default', () => {
  const config = loadConfig('production');
  assert.equal(config.catalog.url, 'http://catalog.internal:8081');
  assert.equal(config.menu.depth, 3);
  assert.equal(config.cache.entries, 400);
});

test('durations have units', () => {
  assert.equal(duration('800ms'), 800);
  assert.equal(duration('1.5s'), 1500);
  assert.equal(duration('15m'), 900_000);
  assert.throws(() => duration(300), /expected a duration/);
  assert.equal(loadConfig('production').catalog.timeout, 800);
});

test('an environment without a file has the default', () => {
  assert.equal(loadConfig('nowhere').listen, 8040);
});
