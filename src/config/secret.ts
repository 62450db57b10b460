import { createHash } from 'node:crypto'
import { inspect } from 'node:util'

/** The secrets that were made while {@link Secret.wipedOnError} runs. */
let made: Secret[] | undefined

/** 32 secret bytes. They never appear in a log, a status or an error. */
export class Secret {
  /** Only tells one secret from another, so that settings can be compared. */
  readonly fingerprint: string
  readonly #bytes: Buffer

  /** Takes over the bytes. {@link wipe} wipes them. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.fingerprint = createHash('sha256').update('udptun-fast settings').update(bytes).digest('base64')
    made?.push(this)
  }

  /**
   * Calls `work`. If `work` throws, this wipes the secrets that it has made, because nobody else has them.
   */
  static wipedOnError<T>(work: () => T): T {
    const before = made
    const own: Secret[] = []
    made = own
    try {
      const done = work()
      // An outer call may still fail and must then wipe these too.
      before?.push(...own)
      return done
    } catch (error) {
      for (const secret of own) secret.wipe()
      throw error
    } finally {
      made = before
    }
  }

  /** Whether all bytes are zero, which for WireGuard means that there is no key. */
  get isNone(): boolean {
    return this.#bytes.every((byte) => byte === 0)
  }

  /** The bytes themselves. Use them at once and do not keep them. */
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
