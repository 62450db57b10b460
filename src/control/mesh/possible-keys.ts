import type { PeerSettings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { OwnIdentity } from '../../noise/keys.js'

/** What says whether a host can have a public key. It multiplies on the curve, which takes a third of a millisecond. */
export interface KeyJudge {
  /** Undefined: this host has no key. */
  readonly own: OwnIdentity | undefined
  isPossible(peer: PeerSettings): boolean
}

/** Remembers which public keys a host can have. All that are told are asked for again whenever one of them changes. */
export class PossibleKeys {
  #own: OwnIdentity | undefined
  /** By public key, in base64. */
  #known = new Map<string, boolean>()
  #used = new Map<string, boolean>()

  isPossible(peer: PeerSettings, judge: KeyJudge): boolean {
    if (peer.public_key === undefined) return judge.isPossible(peer)
    if (judge.own !== this.#own) {
      this.#own = judge.own
      this.#known.clear()
      this.#used.clear()
    }
    const key = formatKey(peer.public_key)
    const isPossible = this.#used.get(key) ?? this.#known.get(key) ?? judge.isPossible(peer)
    this.#used.set(key, isPossible)
    return isPossible
  }

  /** What was not asked for since the last call is forgotten. */
  forgetOthers(): void {
    this.#known = this.#used
    this.#used = new Map()
  }
}
