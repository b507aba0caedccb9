import test from 'node:test'
import assert from 'node:assert/strict'
import settings from '../settings.mjs'
import { Balances } from '../src/balances.mjs'

test('a balance', async () => {
  assert.deepEqual(await new Balances(settings, async () => 12).get('a1'), { status: 200, cents: 12 })
})

test('a ledger that fails', async () => {
  assert.equal((await new Balances(settings, async () => { throw new Error('locked') }).get('a1')).status, 503)
})
