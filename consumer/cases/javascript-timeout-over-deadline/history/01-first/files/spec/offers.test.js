'use strict'
const test = require('node:test')
const assert = require('node:assert')
const http = require('node:http')
const { build } = require('../lib/app')
const { load } = require('../lib/env')

test('an offer has price and currency', async () => {
  const prices = http.createServer((_, response) => response.end('{"cents":1250}')).listen(0, '127.0.0.1')
  await new Promise(resolve => prices.on('listening', resolve))
  const app = build({ ...load(`${__dirname}/../.env`), PRICES_URL: `http://127.0.0.1:${prices.address().port}` }).listen(0, '127.0.0.1')
  await new Promise(resolve => app.on('listening', resolve))
  const answer = await fetch(`http://127.0.0.1:${app.address().port}/offers/lamp`)
  assert.deepStrictEqual(await answer.json(), { sku: 'lamp', cents: 1250, currency: 'EUR' })
  app.close(); prices.close(); app.closeAllConnections(); prices.closeAllConnections()
})
