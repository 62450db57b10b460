import type { Store, StoreChange } from '../../src/etcd/store.js'

/** A store in which the test writes members, beside the hosts themselves. */
export class WrittenStore implements Store {
  readonly endpoint = 'https://etcd'
  requests = 0
  readonly #keys = new Map<string, string>()
  #revision = 1
  readonly #watches = new Set<(changes: readonly StoreChange[], revision: string) => void>()

  async grant() {
    return '1'
  }

  async keepAlive() {
    return true
  }

  async revoke() {}

  async put(key: string, value: string) {
    this.write([{ key, value }])
  }

  /** Whoever watches hears of these at once. */
  write(changes: readonly StoreChange[]): void {
    this.#revision += changes.length
    for (const { key, value } of changes)
      if (value === undefined) this.#keys.delete(key)
      else this.#keys.set(key, value)
    for (const tell of this.#watches) tell(changes, String(this.#revision))
  }

  async read() {
    return {
      entries: [...this.#keys].map(([key, value]) => ({ key, value })),
      revision: String(this.#revision),
      isWhole: true,
    }
  }

  async newest() {
    return { count: this.#keys.size, revision: String(this.#revision) }
  }

  watch(
    _prefix: string,
    _from: string,
    tell: (changes: readonly StoreChange[], revision: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.#watches.add(tell)
    return new Promise((_resolve, reject) => {
      const end = () => {
        this.#watches.delete(tell)
        reject(new Error('the watch has ended'))
      }
      signal.addEventListener('abort', end, { once: true })
    })
  }

  next() {}

  close() {}
}
