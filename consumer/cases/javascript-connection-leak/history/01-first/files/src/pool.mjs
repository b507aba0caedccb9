/** A pool of connections to the ledger: at most `size` at once, the others wait. */
export class Pool {
  #free
  #waiting = []
  constructor(size) { this.#free = size }
  async connect(patience = 300) {
    if (this.#free > 0) { this.#free -= 1; return this.#lend() }
    return new Promise((resolve, reject) => {
      const turn = { resolve, timer: setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== turn)
        reject(new Error('no connection within ' + patience + ' ms'))
      }, patience) }
      this.#waiting.push(turn)
    })
  }
  #lend() {
    let lent = true
    return { release: () => {
      if (!lent) return
      lent = false
      const next = this.#waiting.shift()
      if (next) { clearTimeout(next.timer); next.resolve(this.#lend()) } else { this.#free += 1 }
    } }
  }
}
