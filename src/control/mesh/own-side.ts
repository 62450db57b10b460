import type { Claims } from '../../wire/introduction.js'
import type { Addresses } from '../addresses.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { claimsOf, sameClaims } from './claims.js'

/** How often this host looks at its own addresses, if no change of them is told. */
const LOOK_MS = 1_000

export interface OwnSideContext {
  readonly platform: Pick<Platform, 'network' | 'socket'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly addresses: Pick<Addresses, 'ownMac'>
}

export interface OwnSideOptions {
  /** This host has something else to say of itself. */
  readonly claimed: (nowMs: number) => void
}

/** What this host says of itself to its introducers. */
export class OwnSide {
  /** What it says of itself. */
  claims: Claims = { endpoints: [], macs: [] }
  readonly #context: OwnSideContext
  readonly #options: OwnSideOptions
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(context: OwnSideContext, options: OwnSideOptions) {
    this.#context = context
    this.#options = options
  }

  /** The addresses of this host may be others now. */
  changed(): void {
    this.#lookedMs = Number.NEGATIVE_INFINITY
  }

  /** Must be called often, if there is an introducer. @throws KernelError from rtnetlink */
  look(nowMs: number): void {
    if (nowMs - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = nowMs
    const { addresses, platform, privateSide, roster } = this.#context
    const introducers = roster.all.filter(({ settings }) => settings.introducer)
    const claims = claimsOf({
      addresses: platform.network.ownAddresses(),
      listen: platform.socket.local,
      sources: introducers.map(({ source }) => source),
      mapping: undefined,
      mac: addresses.ownMac && Uint8Array.from(addresses.ownMac),
    })
    if (sameClaims(this.claims, claims)) return
    this.claims = claims
    this.#options.claimed(nowMs)
    // The others follow what they can open.
    for (const { row, carries } of roster.all)
      if (carries && privateSide.peer(row)?.hasKeypair) privateSide.rebound(row)
  }
}
