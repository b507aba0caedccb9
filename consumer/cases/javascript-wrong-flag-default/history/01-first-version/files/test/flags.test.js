import assert from 'node:assert/strict';
import test from 'node:test';

import { Flags } from '../src/flags.js';

const flag = (parts) => new Flags({ flags: { f: { state: 'ENABLED', variants: { a: 1, b: 2 }, defaultVariant: 'a', ...parts } } });

test('a flag has its default', () => assert.equal(flag({}).value('f', 0), 1));

test('a disabled or unknown flag leaves the decision to the code', () => {
  assert.equal(flag({ state: 'DISABLED' }).value('f', 0), 0);
  assert.equal(flag({}).value('g', 0), 0);
});

test('targeting wins over the default', () => {
  const targeting = { if: [{ in: [{ var: 'cohort' }, ['beta']] }, 'b', null] };
  assert.equal(flag({ targeting }).value('f', 0, { cohort: 'beta' }), 2);
  assert.equal(flag({ targeting }).value('f', 0, { cohort: 'other' }), 1);
  assert.equal(flag({ targeting: { if: [{ '==': [{ var: 'x' }, 1] }, 'b', 'a'] } }).value('f', 0, { x: 1 }), 2);
});

test('what is not supported is said', () => {
  assert.throws(() => flag({ targeting: { fractional: [] } }).value('f', 0), /fractional/);
});

test('the file of the repository is complete', () => {
  const flags = Flags.load();
  assert.ok(['popular', 'vector', 'vector-large'].includes(flags.value('ranker', 'popular')));
  assert.ok(flags.value('results', 0) > 0);
});
