'use strict'
const http = require('node:http')
const { Prices } = require('./prices')

/** GET /offers/{sku}: a price with its currency; 502 without a price. */
function build (env) {
  const prices = new Prices(env)
  return http.createServer(async (request, response) => {
    const sku = decodeURIComponent(request.url.slice('/offers/'.length))
    try {
      const cents = await prices.of(sku)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ sku, cents, currency: env.CURRENCY }))
    } catch (error) {
      console.error(JSON.stringify({ level: 'error', msg: 'no price', sku, error: String(error) }))
      response.statusCode = 502
      response.end()
    }
  })
}

module.exports = { build }
