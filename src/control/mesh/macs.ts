import { isGroupMac } from '../../wire/ethernet.js'

/**
 * The rest of a sentence: why nobody else can have this MAC; undefined if one can.
 * @param ownerOf the name of the peer that has a MAC
 */
export function macFault(
  mac: Uint8Array,
  ownerOf: (mac: Uint8Array) => string | undefined,
  ownMac: ArrayLike<number> | undefined,
): string | undefined {
  if (isGroupMac(mac) || mac.every((byte) => byte === 0)) return 'which no device can have'
  if (ownMac !== undefined && isSameMac(mac, ownMac)) return "which is that of this host's device"
  const owner = ownerOf(mac)
  return owner === undefined ? undefined : `but ${owner} has it`
}

/** Whether two MACs are the same. */
export function isSameMac(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return a.length === b.length
}
