'use strict'
const test = require('node:test')
const assert = require('node:assert')
const http = require('node:http')
const { build } = require('../lib/app')
const { load } = require('../lib/env')

// docs/callers.md: the shortest of those who wait.
const CALLER_WAITS = 2000

async function offer (wait) {
  const timers = []
  const prices = http.createServer((_, response) => {
    timers.push(setTimeout(() => response.end('{"cents":1250}'), wait))
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => prices.on('listening', resolve))
  const app = build({ ...load(`${__dirname}/../.env`), PRICES_URL: `http://127.0.0.1:${prices.address().port}` }).listen(0, '127.0.0.1')
  await new Promise(resolve => app.on('listening', resolve))
  const started = performance.now()
  const status = await fetch(`http://127.0.0.1:${app.address().port}/offers/lamp`, { signal: AbortSignal.timeout(4000) }).then(a => a.status, () => 0)
  const took = performance.now() - started
  timers.forEach(clearTimeout)
  app.close(); prices.close(); app.closeAllConnections(); prices.closeAllConnections()
  return { status, took }
}

test('prices that hang hold nothing beyond the caller', async () => {
  const { status, took } = await offer(20000)
  assert.strictEqual(status, 502, `held for ${Math.round(took)} ms`)
  // A second for a busy machine.
  assert.ok(took < CALLER_WAITS + 1000, `held for ${Math.round(took)} ms, callers wait ${CALLER_WAITS} ms`)
})

test('prices on a usual day are heard', async () => {
  assert.strictEqual((await offer(220)).status, 200)
})
