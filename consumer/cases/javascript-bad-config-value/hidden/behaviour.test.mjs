// Ten minutes of a production instance with a clock of our own: few calls, and changes are seen in time.
import assert from 'node:assert/strict';
import test from 'node:test';

import { loadConfig } from '../src/config.js';
import { createService } from '../src/service.js';

const MARKETS = ['de', 'fr', 'pl', 'se'];
const MINUTE = 60_000;

function instance() {
  const world = { now: 1_780_000_000_000, calls: 0, name: 'before' };
  const fetcher = async () => {
    world.calls += 1;
    const document = { name: world.name, slug: 'all', products: 1, children: [] };
    return { ok: true, status: 200, json: async () => document };
  };
  const log = { error() {}, warn() {}, info() {}, log() {} };
  world.handle = createService(loadConfig('production'), { fetcher, now: () => world.now, log });
  // A repair may look at the usual clock, too.
  world.at = async (path) => {
    const real = Date.now;
    Date.now = () => world.now;
    try {
      return await world.handle('GET', path);
    } finally {
      Date.now = real;
    }
  };
  return world;
}

test('pages seldom cost a call', async () => {
  const world = instance();
  let pages = 0;
  for (const end = world.now + 10 * MINUTE; world.now < end; world.now += 500) {
    const { status } = await world.at(`/menu/${MARKETS[pages % MARKETS.length]}`);
    assert.equal(status, 200);
    pages += 1;
  }
  assert.equal(pages, 1200);
  // A call a market and minute would still be fine.
  assert.ok(world.calls <= MARKETS.length * 10, `${world.calls} calls for ${pages} pages`);
  assert.ok(world.calls >= MARKETS.length);
});

test('a change is seen within 15 minutes', async () => {
  const world = instance();
  assert.equal((await world.at('/menu/de')).document.name, 'before');
  world.name = 'after';
  for (let minute = 0; minute < 15; minute += 1) {
    world.now += MINUTE;
    await world.at('/menu/de');
  }
  world.now += 1;
  assert.equal((await world.at('/menu/de')).document.name, 'after');
});
