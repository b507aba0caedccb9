// Keeps values for a while. The oldest entry goes when the cache is full.

export class Cache {
  #entries = new Map();
  #ttl;
  #most;
  #now;

  /** @param {number} ttl milliseconds */
  constructor(ttl, most, now = Date.now) {
    this.#ttl = ttl;
    this.#most = most;
    this.#now = now;
  }

  /** The value of a key; made by `make` when it is not there or too old. Whoever comes meanwhile waits with us. */
  get(key, make) {
    const entry = this.#entries.get(key);
    if (entry && this.#now() < entry.until) return entry.promise;
    const promise = make();
    this.#entries.delete(key);
    this.#entries.set(key, { promise, until: this.#now() + this.#ttl });
    if (this.#entries.size > this.#most) this.#entries.delete(this.#entries.keys().next().value);
    // A failure is not kept.
    promise.catch(() => {
      if (this.#entries.get(key)?.promise === promise) this.#entries.delete(key);
    });
    return promise;
  }
}
