import { formatKey } from '../../key-text.js'
import type { ToldMember } from '../../wire/introduction.js'
import type { Told } from './told.js'

/**
 * What a peer source has told, by its own names. Several of them may have one public key: somebody forges all but one, and
 * none must hide the others.
 */
export class SourceTold {
  readonly #by: string
  readonly #told = new Map<string, Told>()
  /** The ids of those that have a public key, in base64. */
  readonly #ids = new Map<string, Set<string>>()

  /** @param by the name of the source */
  constructor(by: string) {
    this.#by = by
  }

  get all(): Iterable<Told> {
    return this.#told.values()
  }

  /** Those that have this public key, in base64. */
  of(key: string): Told[] {
    return [...(this.#ids.get(key) ?? [])].flatMap((id) => this.#told.get(id) ?? [])
  }

  /** @returns the public keys, in base64, of those that are told otherwise now */
  tell(id: string, member: ToldMember | undefined): string[] {
    const before = this.#told.get(id)
    const old = before && formatKey(before.member.publicKey)
    if (old !== undefined) this.#ids.get(old)?.delete(id)
    if (old !== undefined && this.#ids.get(old)?.size === 0) this.#ids.delete(old)
    if (member === undefined) {
      this.#told.delete(id)
      return old === undefined ? [] : [old]
    }
    this.#told.set(id, { by: this.#by, member })
    const key = formatKey(member.publicKey)
    this.#ids.set(key, (this.#ids.get(key) ?? new Set()).add(id))
    return old === undefined || old === key ? [key] : [old, key]
  }
}
