import { Pool } from './pool.mjs'

/** Balance of an account. `query(connection, account)` asks the ledger. */
export class Balances {
  constructor(settings, query) {
    this.pool = new Pool(settings.pool.size)
    this.query = query
  }

  async get(account) {
    let connection
    try {
      connection = await this.pool.connect()
      return { status: 200, cents: await this.query(connection, account) }
    } catch (error) {
      console.error(`balance of ${account}: ${error.message}`)
      return { status: 503 }
    } finally {
      connection?.release()
    }
  }
}
