import type { Store, StoreChange } from '../../src/etcd/store.js'

/** A store in which whoever measures writes the members. */
export class WrittenStore implements Store {
  readonly endpoint = 'https://etcd'
  requests = 0
  readonly #keys = new Map<string, string>()
  #revision = 1
  #tell: ((changes: readonly StoreChange[], revision: string) => void) | undefined

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
    this.#tell?.(changes, String(this.#revision))
  }

  async read() {
    return {
      entries: [...this.#keys].map(([key, value]) => ({ key, value })),
      revision: String(this.#revision),
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
    this.#tell = tell
    return new Promise((_resolve, reject) => signal.addEventListener('abort', reject, { once: true }))
  }

  next() {}

  close() {}
}
