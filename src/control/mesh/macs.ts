import { isGroupMac } from '../../wire/ethernet.js'

/** Somebody who has these MACs. */
export interface MacOwner {
  readonly name: string
  readonly macs: readonly ArrayLike<number>[]
}

/** The rest of a sentence: why nobody else can have this MAC; undefined if one can. */
export function macFault(
  mac: Uint8Array,
  others: readonly MacOwner[],
  ownMac: ArrayLike<number> | undefined,
): string | undefined {
  if (isGroupMac(mac) || mac.every((byte) => byte === 0)) return 'which no device can have'
  if (ownMac !== undefined && isSame(mac, ownMac)) return "which is that of this host's device"
  const owner = others.find(({ macs }) => macs.some((it) => isSame(mac, it)))
  return owner === undefined ? undefined : `but ${owner.name} has it`
}

function isSame(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return Buffer.from(Array.from(a)).equals(Buffer.from(Array.from(b)))
}
