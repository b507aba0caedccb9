import assert from 'node:assert/strict';
import test from 'node:test';

import { Flags } from '../src/flags.js';
import { deployed } from '../src/rankers.js';
import { Service } from '../src/service.js';

const SKUS = Array.from({ length: 30 }, (_, i) => `sku-${i}`);
const answers = (status) => async () => ({ ok: status < 300, status, json: async () => ({ skus: SKUS }) });
const quiet = { error() {} };
const service = (fetcher) => new Service(Flags.load(), deployed(fetcher), quiet);

test('names products', async () => {
  const { status, document } = await service(answers(200)).handle('GET', '/recommendations?customer=c1');
  assert.equal(status, 200);
  assert.equal(document.skus[0], 'sku-0');
  assert.ok(document.skus.length <= 12);
});

test('the beta cohort is ranked by neighbours', async () => {
  const { document } = await service(answers(200)).handle('GET', '/recommendations?customer=c1&cohort=beta');
  assert.equal(document.ranker, 'vector');
});

test('says when a ranker fails', async () => {
  const { status } = await service(answers(500)).handle('GET', '/recommendations?customer=c1');
  assert.equal(status, 502);
  const lost = await service(async () => { throw new Error('refused'); }).handle('GET', '/recommendations?customer=c1');
  assert.equal(lost.status, 502);
});

test('refuses nonsense', async () => {
  const s = service(answers(200));
  assert.equal((await s.handle('GET', '/other')).status, 404);
  assert.equal((await s.handle('POST', '/recommendations?customer=c')).status, 405);
  assert.equal((await s.handle('GET', '/recommendations')).status, 400);
});
