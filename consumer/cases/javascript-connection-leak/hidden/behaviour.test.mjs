import test from 'node:test'
import assert from 'node:assert/strict'
import settings from '../settings.mjs'
import { Balances } from '../src/balances.mjs'

test('after twenty failures there is still a connection', async () => {
  let fails = true
  const balances = new Balances(settings, async () => { if (fails) throw new Error('locked'); return 5 })
  for (let i = 0; i < 20; i++) await balances.get('a')
  fails = false
  assert.deepEqual(await balances.get('a'), { status: 200, cents: 5 }, 'connections are gone')
})

test('not more than eight at once', async () => {
  let now = 0, most = 0
  const balances = new Balances(settings, async () => { most = Math.max(most, ++now); await new Promise(r => setTimeout(r, 20)); now -= 1; return 1 })
  await Promise.all(Array.from({ length: 60 }, () => balances.get('a')))
  assert.ok(most <= 8, `${most} at once`)
})
