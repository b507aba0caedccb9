import { Pool } from './pool.mjs'

/** Balance of an account. `query(connection, account)` asks the ledger. */
export class Balances {
  constructor(settings, query) {
    this.pool = new Pool(settings.pool.size)
    this.query = query
  }

  async get(account) {
    try {
      const connection = await this.pool.connect()
      const cents = await this.query(connection, account)
      connection.release()
      return { status: 200, cents }
    } catch (error) {
      console.error(`balance of ${account}: ${error.message}`)
      return { status: 503 }
    }
  }
}
