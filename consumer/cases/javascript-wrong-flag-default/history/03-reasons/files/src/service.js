// The route, without a server: a URL in, a status and a document out.
import { RankerError } from './rankers.js';

export class Service {
  #flags;
  #rankers;
  #log;

  constructor(flags, rankers, log = console) {
    this.#flags = flags;
    this.#rankers = rankers;
    this.#log = log;
  }

  /** @returns {Promise<{status: number, document: object}>} */
  async handle(method, path) {
    const url = new URL(path, 'http://recommendations');
    if (url.pathname === '/healthz') return { status: 200, document: { status: 'up' } };
    if (url.pathname !== '/recommendations') return failure(404, 'expected /recommendations');
    if (method !== 'GET') return failure(405, 'expected GET');
    const customer = url.searchParams.get('customer');
    if (!customer) return failure(400, 'expected ?customer=');
    const context = { targetingKey: customer, cohort: url.searchParams.get('cohort') ?? '' };
    const name = this.#flags.value('ranker', 'popular', context);
    const count = this.#flags.value('results', 6, context);
    try {
      const skus = await this.#rankers[name](customer, count);
      const document = { ranker: name, skus: skus.slice(0, count) };
      if (this.#flags.value('reasons', false, context)) document.reason = REASONS[name];
      return { status: 200, document };
    } catch (error) {
      if (!(error instanceof RankerError)) throw error;
      this.#log.error(`no recommendations for ${customer}: ${error.message}`);
      return failure(502, 'no recommendations at the moment');
    }
  }
}

/** What the page writes above the products. */
const REASONS = {
  popular: 'Popular at the moment',
  vector: 'Similar to what you bought',
  'vector-large': 'Similar to what you bought',
};

const failure = (status, error) => ({ status, document: { error } });
