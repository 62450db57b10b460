import { formatKey } from '../../key-text.js'
import type { ToldMember } from '../../wire/introduction.js'
import type { AllTold, Told } from './told.js'

/**
 * What all peer sources have told, by the source and its own name for each. Several may have one public key: two
 * introducers tell of the same member, or somebody forges all but one, and none must hide the others.
 */
export class ToldMembers implements AllTold {
  readonly #told = new Map<string, Told>()
  /** The places in {@link #told} of those that have a public key, in base64. */
  readonly #places = new Map<string, Set<string>>()

  all(): Told[] {
    return [...this.#told.values()]
  }

  of(key: string): Told[] {
    return [...(this.#places.get(key) ?? [])].flatMap((place) => this.#told.get(place) ?? [])
  }

  /**
   * @param by who tells
   * @param id of this member at this source
   * @param member undefined: it is no member any more
   * @returns the public keys, in base64, of those that are told otherwise now
   */
  tell(by: string, id: string, member: ToldMember | undefined): string[] {
    const place = `${by} ${id}`
    const before = this.#told.get(place)
    const old = before && formatKey(before.member.publicKey)
    const key = member && formatKey(member.publicKey)
    if (old !== undefined && old !== key) this.#leave(old, place)
    if (member === undefined || key === undefined) {
      this.#told.delete(place)
      return old === undefined ? [] : [old]
    }
    this.#told.set(place, { by, member })
    this.#places.set(key, (this.#places.get(key) ?? new Set()).add(place))
    return old === undefined || old === key ? [key] : [old, key]
  }

  #leave(key: string, place: string): void {
    const places = this.#places.get(key)
    places?.delete(place)
    if (places?.size === 0) this.#places.delete(key)
  }
}
