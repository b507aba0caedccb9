// The route, without a server.
import { Cache } from './cache.js';

class CatalogError extends Error {}

/** Cuts a tree at a depth and leaves out categories without products. */
function menu(category, depth) {
  const children = depth > 0 ? (category.children ?? []).filter((c) => c.products > 0).map((c) => menu(c, depth - 1)) : [];
  return { name: category.name, slug: category.slug, children };
}

/**
 * @param {object} config see config/
 * @param {{fetcher?: typeof fetch, now?: () => number, log?: Console}} world
 */
export function createService(config, { fetcher = fetch, now = Date.now, log = console } = {}) {
  const cache = new Cache(config.cache.ttl, config.cache.entries, now);

  async function tree(market) {
    let response;
    try {
      response = await fetcher(`${config.catalog.url}/trees/${market}`, {
        signal: AbortSignal.timeout(config.catalog.timeout),
      });
    } catch (error) {
      throw new CatalogError(`catalogue is not reachable: ${error.message}`);
    }
    if (response.status === 404) return null;
    if (!response.ok) throw new CatalogError(`catalogue answered ${response.status}`);
    return response.json();
  }

  return async function handle(method, path) {
    const match = /^\/menu\/([a-z]{2})$/.exec(path);
    if (!match) return { status: 404, document: { error: 'expected /menu/{market}' } };
    if (method !== 'GET') return { status: 405, document: { error: 'expected GET' } };
    try {
      const root = await cache.get(match[1], () => tree(match[1]));
      if (!root) return { status: 404, document: { error: 'no such market' } };
      return { status: 200, document: menu(root, config.menu.depth) };
    } catch (error) {
      if (!(error instanceof CatalogError)) throw error;
      log.error(`menu of ${match[1]}: ${error.message}`);
      return { status: 502, document: { error: 'no menu at the moment' } };
    }
  };
}
