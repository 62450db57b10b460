import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { OwnIdentity } from '../../noise/keys.js'
import type { Addresses } from '../addresses.js'
import type { AllTold, Told } from '../discovery/told.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { isIn, type Span } from '../span.js'
import { type Belief, Judgement } from './belief.js'
import { type KeptContent, MAX_PINS } from './kept.js'
import { PossibleKeys } from './possible-keys.js'
import type { Pin } from './refusal.js'
import type { Signing } from './signed-belief.js'
import { Verifier } from './verifier.js'

/** Records that could not be looked at are looked at after this time. */
const PENDING_MS = 1_000

export interface TrustOptions {
  readonly platform: Pick<Platform, 'clock'>
  readonly addresses: Pick<Addresses, 'ownMac'>
  readonly privateSide: PrivateSide
  /** What must be kept has changed. */
  readonly onChange: () => void
}

/** What a judgement is made by, beside what is told. */
interface Basis {
  readonly settings: Settings
  readonly ownKey: string | undefined
  readonly ownMac: ArrayLike<number> | undefined
  readonly own: OwnIdentity | undefined
}

function isSameBasis(a: Basis, b: Basis): boolean {
  const [first, second] = [a.settings, b.settings]
  return (
    first.local === second.local &&
    first.mode === second.mode &&
    first.network_key === second.network_key &&
    first.peers.length === second.peers.length &&
    first.peers.every((peer, at) => peer === second.peers[at]) &&
    a.ownKey === b.ownKey &&
    a.own === b.own &&
    isDeepStrictEqual(a.ownMac, b.ownMac)
  )
}

/** Whom this host believes, and what it must remember for that: the keys and the serial numbers of names. */
export class Trust {
  readonly #options: TrustOptions
  readonly #pins = new Map<string, Pin>()
  /** The one that all serial numbers are of. */
  #networkKey: string | undefined
  readonly #verifier: Verifier
  readonly #possible = new PossibleKeys()
  #holds: Span | undefined
  /** When those that were not looked at are; undefined if there are none. */
  #pendingMs: number | undefined
  #last: { readonly judgement: Judgement; readonly by: Basis } | undefined
  /** The public keys of those that are told otherwise since the last judgement, in base64. */
  readonly #changed = new Set<string>()

  constructor(options: TrustOptions) {
    this.#options = options
    this.#verifier = new Verifier(() => options.platform.clock.nowMs())
  }

  /** Takes what an earlier run has kept. */
  restore({ names, network_key }: Pick<KeptContent, 'names' | 'network_key'>): void {
    this.#networkKey = network_key ?? undefined
    for (const { name, key, serial } of names) this.#pins.set(name, { key, serial: serial ?? undefined })
  }

  get content(): Pick<KeptContent, 'names' | 'network_key'> {
    return {
      network_key: this.#networkKey ?? null,
      names: [...this.#pins].map(([name, { key, serial }]) => ({ name, key, serial: serial ?? null })),
    }
  }

  /** The member with this public key, in base64, is told otherwise now. */
  changed(key: string): void {
    this.#changed.add(key)
  }

  believe(told: AllTold, settings: Settings): Belief {
    this.#follow(settings)
    const by = this.#basis(settings)
    const judgement = this.#grown(told, by) ?? this.#judge(told.all(), by)
    this.#changed.clear()
    const { judged } = judgement.belief
    this.#holds = judged?.holds
    this.#pendingMs = judged?.isPending ? this.#options.platform.clock.nowMs() + PENDING_MS : undefined
    return judgement.belief
  }

  #basis(settings: Settings): Basis {
    const { addresses, privateSide } = this.#options
    const { ownMac } = addresses
    const { public_key: ownKey } = privateSide.summary()
    return { settings, ownKey: ownKey ?? undefined, ownMac, own: privateSide.ownKey.identity }
  }

  /** The last judgement, with those who were told of since; undefined if all must be judged anew. */
  #grown(told: AllTold, by: Basis): Judgement | undefined {
    const { last, isStale } = { last: this.#last, isStale: this.isStale }
    if (last === undefined || isStale || !isSameBasis(last.by, by)) return undefined
    const { judgement } = last
    const signing = this.#signingWith(by.settings)
    for (const key of this.#changed) {
      const some = told.of(key)
      if (some.length === 0 || !some.every((it) => judgement.grows(it, signing))) return undefined
      for (const { member } of some) this.#pinSeen(member.name, judgement.belief)
    }
    return judgement
  }

  #judge(told: readonly Told[], by: Basis): Judgement {
    const { privateSide } = this.#options
    const { settings, ownKey, ownMac, own } = by
    const judge = { own, isPossible: (peer: PeerSettings) => privateSide.isPossible(peer) }
    const judgement = new Judgement(told, {
      settings,
      ownKey,
      ownMac,
      pins: this.#pins,
      isPossible: (peer) => this.#possible.isPossible(peer, judge),
      signing: this.#signingWith(settings),
    })
    this.#last = { judgement, by }
    this.#verifier.forgetOthers()
    this.#possible.forgetOthers()
    for (const name of judgement.belief.judged?.seen.keys() ?? []) this.#pinSeen(name, judgement.belief)
    return judgement
  }

  #signingWith({ network_key }: Settings): Signing | undefined {
    if (network_key === undefined) return undefined
    const nowS = this.#options.platform.clock.unixMs() / 1_000
    return { isSigned: (record, by) => this.#verifier.isSigned(record, by), nowS }
  }

  #pinSeen(name: string, { judged }: Belief): void {
    const pin = judged?.seen.get(name)
    if (pin !== undefined) this.#pin(name, pin)
  }

  /** These have become peers: their names keep their keys. */
  keep({ members, judged }: Belief): void {
    if (judged !== undefined) return
    for (const { name, public_key } of members)
      if (public_key !== undefined && !this.#pins.has(name))
        this.#pin(name, { key: formatKey(public_key), serial: undefined })
  }

  /** Whether other members may be believed now than at the last time: a record has ended, or the clock was set. */
  get isStale(): boolean {
    const { clock } = this.#options.platform
    const isOver = this.#holds !== undefined && !isIn(this.#holds, clock.unixMs() / 1_000)
    return isOver || clock.nowMs() >= (this.#pendingMs ?? Number.POSITIVE_INFINITY)
  }

  /** What a person has written since counts more than what was seen. */
  #follow({ network_key, peers }: Settings): void {
    this.#verifier.follow(network_key)
    if (network_key !== undefined && network_key !== this.#networkKey) {
      this.#networkKey = network_key
      for (const [name, { key }] of this.#pins) this.#pin(name, { key, serial: undefined })
    }
    for (const { name, public_key } of peers) {
      const pin = this.#pins.get(name)
      if (pin === undefined || public_key === undefined || pin.key === formatKey(public_key)) continue
      // A later record can give it another key.
      if (pin.serial !== undefined) continue
      this.#pins.delete(name)
      this.#options.onChange()
    }
  }

  #pin(name: string, pin: Pin): void {
    const before = this.#pins.get(name)
    if (before === undefined && this.#pins.size === MAX_PINS) return
    if (before?.key === pin.key && before.serial === pin.serial) return
    this.#pins.set(name, pin)
    this.#options.onChange()
  }
}
