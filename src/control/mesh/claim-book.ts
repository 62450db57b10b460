import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings } from '../../config/schema.js'
import { formatMac } from '../../wire/ethernet.js'
import type { Claims } from '../../wire/introduction.js'
import { sameClaims } from './claims.js'
import { isSameMac, macFault } from './macs.js'

/** Who says something of itself. */
export interface Claimant {
  readonly row: number
  readonly settings: PeerSettings
}

/** What an introducer's members have said of themselves. */
export class ClaimBook {
  /** By row, with the public key of who has said it. */
  readonly #claims = new Map<number, { readonly key: Buffer | undefined; readonly claims: Claims }>()

  /** What a member has said of itself, as far as it is believed. The same object as before, if it says the same. */
  of({ row, settings }: Claimant): Claims | undefined {
    const known = this.#claims.get(row)
    // A row may have been given to another peer.
    return isDeepStrictEqual(known?.key, settings.public_key) ? known?.claims : undefined
  }

  /**
   * A member says something of itself.
   * @param all the peers of the settings
   * @param ownMac of this host's device
   * @returns why a MAC of it is not believed: a sentence for each
   */
  take(
    member: Claimant,
    claims: Claims,
    all: readonly Claimant[],
    ownMac: ArrayLike<number> | undefined,
  ): string[] {
    const has = (it: Claimant, mac: Uint8Array) =>
      it.row !== member.row &&
      [...it.settings.macs, ...(this.of(it)?.macs ?? [])].some((its) => isSameMac(its, mac))
    const ownerOf = (mac: Uint8Array) => all.find((it) => has(it, mac))?.settings.name
    const refused = new Map(claims.macs.map((mac) => [mac, macFault(mac, ownerOf, ownMac)]))
    const believed = { ...claims, macs: claims.macs.filter((mac) => refused.get(mac) === undefined) }
    const before = this.of(member)
    if (before === undefined || !sameClaims(before, believed))
      this.#claims.set(member.row, { key: member.settings.public_key, claims: believed })
    return [...refused].flatMap(([mac, fault]) =>
      fault === undefined
        ? []
        : `${member.settings.name} says that it has the MAC ${formatMac(mac)}, ${fault}`,
    )
  }
}
