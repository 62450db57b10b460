import { createHash } from 'node:crypto'
import { inspect } from 'node:util'

/** Those made while {@link Secret.wipedOnError} runs. */
let made: Secret[] | undefined

/** 32 bytes that are nobody's business: they show up in no log, no status, no error. */
export class Secret {
  /** Tells one from another, and no more than that; so that settings can be compared. */
  readonly fingerprint: string
  readonly #bytes: Buffer

  /** Takes the bytes over: they are wiped by {@link wipe}. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.fingerprint = createHash('sha256').update('udptun-fast settings').update(bytes).digest('base64')
    made?.push(this)
  }

  /** Does `work`. Where that throws, the secrets it has made are wiped: nobody has them. */
  static wipedOnError<T>(work: () => T): T {
    const before = made
    const own: Secret[] = []
    made = own
    try {
      const done = work()
      // They may still come to nothing there.
      before?.push(...own)
      return done
    } catch (error) {
      for (const secret of own) secret.wipe()
      throw error
    } finally {
      made = before
    }
  }

  /** The bytes themselves: to be used at once, and not kept. */
  reveal(): Uint8Array {
    return this.#bytes
  }

  wipe(): void {
    this.#bytes.fill(0)
  }

  toString(): string {
    return '(secret)'
  }

  toJSON(): string {
    return '(secret)'
  }

  [inspect.custom](): string {
    return '(secret)'
  }
}
