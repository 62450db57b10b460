import type { PeerSettings, Settings } from '../../config/schema.js'
import { formatKey } from '../../key-text.js'
import type { Addresses } from '../addresses.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { type Belief, believe } from './belief.js'
import { type KeptContent, MAX_PINS } from './kept.js'
import { PossibleKeys } from './possible-keys.js'
import type { Span } from './signed-belief.js'
import type { Pin, Told } from './told.js'
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

  /** @param told in the order in which they were told first */
  believe(told: readonly Told[], settings: Settings): Belief {
    const { addresses, platform, privateSide } = this.#options
    this.#follow(settings)
    const { public_key: ownKey } = privateSide.summary()
    const own = privateSide.ownKey.identity
    const judge = { own, isPossible: (peer: PeerSettings) => privateSide.isPossible(peer) }
    const belief = believe(told, {
      settings,
      ownKey: ownKey ?? undefined,
      ownMac: addresses.ownMac,
      pins: this.#pins,
      isPossible: (peer) => this.#possible.isPossible(peer, judge),
      signing:
        settings.network_key === undefined
          ? undefined
          : {
              isSigned: (record, by) => this.#verifier.isSigned(record, by),
              nowS: platform.clock.unixMs() / 1_000,
            },
    })
    this.#verifier.forgetOthers()
    this.#possible.forgetOthers()
    const { judged } = belief
    this.#holds = judged?.holds
    this.#pendingMs = judged?.isPending ? platform.clock.nowMs() + PENDING_MS : undefined
    for (const [name, pin] of judged?.seen ?? []) this.#pin(name, pin)
    return belief
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
    const unixS = clock.unixMs() / 1_000
    const { fromS, untilS } = this.#holds ?? { fromS: unixS, untilS: Number.POSITIVE_INFINITY }
    return unixS < fromS || unixS >= untilS || clock.nowMs() >= (this.#pendingMs ?? Number.POSITIVE_INFINITY)
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
