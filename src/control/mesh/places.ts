import type { Endpoint } from '../../linux/sockaddr.js'
import type { Told } from '../discovery/told.js'
import { placesOf } from './member.js'

/** Where those that are told of may be. It is asked ten times a second for each of them, and seldom changes. */
export class Places {
  readonly #toldOf: (key: string) => readonly Told[]
  /** By public key, in base64. */
  readonly #known = new Map<string, readonly Endpoint[]>()

  /** @param toldOf what is told of a member, by its public key in base64 */
  constructor(toldOf: (key: string) => readonly Told[]) {
    this.#toldOf = toldOf
  }

  /** Where a member may be, by its public key in base64. The same object as before, if nothing has changed. */
  of(key: string): readonly Endpoint[] {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const told = this.#toldOf(key)
    const all = told.flatMap(({ member }) => placesOf(member))
    const places = all.filter(
      (it, at) => all.findIndex(({ address, port }) => address === it.address && port === it.port) === at,
    )
    if (told.length > 0) this.#known.set(key, places)
    return places
  }

  /** What is told of a member has changed. */
  changed(key: string): void {
    this.#known.delete(key)
  }
}
