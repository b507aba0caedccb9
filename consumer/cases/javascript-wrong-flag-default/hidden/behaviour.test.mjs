// Everybody asks for recommendations, as the flags are in the repository; the vector rankers can serve few of them.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Flags } from '../src/flags.js';
import { deployed } from '../src/rankers.js';
import { Service } from '../src/service.js';

const CUSTOMERS = 200;
/** What a shard takes of that many requests before it refuses: the beta cohort's share. */
const SHARD_TAKES = 20;

function world({ takes = SHARD_TAKES } = {}) {
  const calls = { popular: 0, vector: 0, 'vector-large': 0 };
  const fetcher = async (url) => {
    const name = /ranker-([a-z-]+)\.internal/.exec(String(url))[1];
    calls[name] += 1;
    // The large ranker is not deployed at all.
    if (name === 'vector-large') throw new TypeError('fetch failed');
    const ok = name === 'popular' || calls[name] <= takes;
    const skus = Array.from({ length: 40 }, (_, i) => `${name}-${i}`);
    return { ok, status: ok ? 200 : 503, json: async () => ({ skus }) };
  };
  return { calls, service: new Service(Flags.load(), deployed(fetcher), { error() {}, warn() {}, info() {}, log() {} }) };
}

const ask = (service, customer, cohort) =>
  service.handle('GET', `/recommendations?customer=${customer}${cohort ? `&cohort=${cohort}` : ''}`);

test('everybody gets recommendations and the shard is not overloaded', async () => {
  const { calls, service } = world();
  for (let i = 0; i < CUSTOMERS; i += 1) {
    const { status, document } = await ask(service, `c${i}`, i % 50 === 0 ? 'beta' : '');
    assert.equal(status, 200, `customer ${i}: ${JSON.stringify(document)}`);
    assert.ok(document.skus.length > 0);
  }
  assert.ok(calls.vector + calls['vector-large'] <= SHARD_TAKES, JSON.stringify(calls));
});

test('the beta cohort goes on', async () => {
  const { service } = world();
  for (const cohort of ['beta', 'staff']) assert.equal((await ask(service, 'c1', cohort)).status, 200);
});

test('the page still gets as many products as its flag says', async () => {
  const { service } = world();
  const { document } = await ask(service, 'c1', '');
  assert.equal(document.skus.length, 6);
});
