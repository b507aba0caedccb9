import assert from 'node:assert/strict';
import test from 'node:test';

import { Cache } from '../src/cache.js';
import { loadConfig } from '../src/config.js';
import { createService } from '../src/service.js';

const TREE = {
  name: 'All', slug: 'all', products: 9,
  children: [{ name: 'Lamps', slug: 'lamps', products: 9 }, { name: 'Empty', slug: 'empty', products: 0 }],
};
const quiet = { error() {} };

function service(answer) {
  const urls = [];
  const fetcher = async (url) => {
    urls.push(url);
    return answer();
  };
  return { urls, handle: createService(loadConfig('production'), { fetcher, now: () => 0, log: quiet }) };
}
const ok = () => ({ ok: true, status: 200, json: async () => TREE });

test('gives the menu without empty categories', async () => {
  const { handle, urls } = service(ok);
  const { status, document } = await handle('GET', '/menu/de');
  assert.equal(status, 200);
  assert.deepEqual(document.children.map((c) => c.slug), ['lamps']);
  assert.deepEqual(urls, ['http://catalog.internal:8081/trees/de']);
});

test('a menu is kept', async () => {
  const { handle, urls } = service(ok);
  for (let i = 0; i < 5; i += 1) await handle('GET', '/menu/de');
  assert.equal(urls.length, 1);
});

test('says when the catalogue fails, and asks again', async () => {
  const { handle, urls } = service(() => ({ ok: false, status: 500 }));
  assert.equal((await handle('GET', '/menu/de')).status, 502);
  assert.equal((await handle('GET', '/menu/de')).status, 502);
  assert.equal(urls.length, 2);
});

test('unknown markets and routes', async () => {
  const { handle } = service(() => ({ ok: false, status: 404 }));
  assert.equal((await handle('GET', '/menu/xx')).status, 404);
  assert.equal((await handle('GET', '/menus')).status, 404);
  assert.equal((await handle('POST', '/menu/de')).status, 405);
});

test('the cache forgets in time and when it is full', async () => {
  let now = 0;
  let made = 0;
  const cache = new Cache(10, 2, () => now);
  const get = (key) => cache.get(key, async () => (made += 1));
  assert.equal(await get('a'), 1);
  now = 9;
  assert.equal(await get('a'), 1);
  now = 10;
  assert.equal(await get('a'), 2);
  await get('b');
  await get('c');
  assert.equal(await get('a'), 5);
});
