'use strict'

/** A client for the price service. */
class Prices {
  constructor (env, fetchLike = fetch) {
    this.url = env.PRICES_URL
    this.timeout = Number(env.PRICES_TIMEOUT_MS)
    this.tries = Number(env.PRICES_TRIES)
    this.fetch = fetchLike
  }

  async of (sku) {
    let last
    for (let i = 0; i < this.tries; i++) {
      try {
        const answer = await this.fetch(`${this.url}/prices/${encodeURIComponent(sku)}`, { signal: AbortSignal.timeout(this.timeout) })
        if (answer.ok) return (await answer.json()).cents
        last = new Error(`prices answered ${answer.status}`)
      } catch (error) {
        last = error
      }
    }
    throw last
  }
}

module.exports = { Prices }
