// Clients of the rankers.

export class RankerError extends Error {}

/** Makes a ranker that asks `baseUrl`; `fetcher` is fetch or what behaves like it. */
export function httpRanker(name, baseUrl, timeoutMs, fetcher = fetch) {
  return async (customer, count) => {
    const url = `${baseUrl}/rank?customer=${encodeURIComponent(customer)}&count=${count}`;
    let response;
    try {
      response = await fetcher(url, { signal: AbortSignal.timeout(timeoutMs) });
    } catch (error) {
      throw new RankerError(`${name} is not reachable: ${error.message}`, { cause: error });
    }
    if (!response.ok) throw new RankerError(`${name} answered ${response.status}`);
    return (await response.json()).skus;
  };
}

/** The rankers as deployed. */
export function deployed(fetcher = fetch) {
  return {
    popular: httpRanker('popular', 'http://ranker-popular.internal:8200', 300, fetcher),
    vector: httpRanker('vector', 'http://ranker-vector.internal:8210', 700, fetcher),
    'vector-large': httpRanker('vector-large', 'http://ranker-vector-large.internal:8211', 700, fetcher),
  };
}
