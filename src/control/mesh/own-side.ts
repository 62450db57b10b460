import type { Settings } from '../../config/schema.js'
import type { Claims } from '../../wire/introduction.js'
import type { Addresses } from '../addresses.js'
import type { HostAddress } from '../network.js'
import type { Peer } from '../peer/peer.js'
import type { Roster } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { PrivateSide } from '../private/private-side.js'
import { claimsOf, sameClaims } from './claims.js'
import { areOnlyPrivate, Mapping, type MappingContext, type MappingNeed } from './mapping.js'

/** How often this host looks at its own addresses, if no change of them is told. */
const LOOK_MS = 1_000

export interface OwnSideContext extends MappingContext {
  readonly settings: Pick<Settings, 'port_mapping'>
  readonly platform: Pick<Platform, 'network' | 'socket' | 'random' | 'clock'>
  readonly roster: Roster<Peer>
  readonly privateSide: PrivateSide
  readonly addresses: Pick<Addresses, 'ownMac'>
}

export interface OwnSideOptions {
  /** Whether this host is behind a NAT, as far as the introducers have told. */
  readonly isBehindNat: () => boolean
  /** This host has something else to say of itself. */
  readonly claimed: (nowMs: number) => void
}

/** What this host says of itself to its introducers. */
export class OwnSide {
  /** What it says of itself. */
  claims: Claims = { endpoints: [], macs: [] }
  readonly mapping: Mapping
  readonly #context: OwnSideContext
  readonly #options: OwnSideOptions
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(context: OwnSideContext, options: OwnSideOptions) {
    this.mapping = new Mapping(context)
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
    const own = platform.network.ownAddresses()
    this.mapping.look(this.#need(introducers, own))
    const claims = claimsOf({
      addresses: own,
      listen: platform.socket.local,
      sources: introducers.map(({ source }) => source),
      mapping: this.mapping.external,
      mac: addresses.ownMac && Uint8Array.from(addresses.ownMac),
    })
    if (sameClaims(this.claims, claims)) return
    this.claims = claims
    this.#options.claimed(nowMs)
    // The others follow what they can open.
    for (const { row, carries } of roster.all)
      if (carries && privateSide.peer(row)?.hasKeypair) privateSide.rebound(row)
  }

  /** Where a mapping is needed; undefined if none is. */
  #need(introducers: readonly Peer[], own: readonly HostAddress[]): MappingNeed | undefined {
    const { platform, settings } = this.#context
    if (!settings.port_mapping || !platform.socket.isBound) return undefined
    const gateway = introducers
      .flatMap(({ underlay }) => underlay?.gateway ?? [])
      .find((it) => !it.includes(':'))
    const addresses = own.map(({ address }) => address)
    const isBehind = this.#options.isBehindNat() || areOnlyPrivate(addresses)
    const { port } = platform.socket.local
    return gateway === undefined || !isBehind ? undefined : { gateway, port, addresses }
  }
}
