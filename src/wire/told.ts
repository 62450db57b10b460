import type { Taker } from './taker.js'

/**
 * What introductions and signed records say in the same way: names, and networks of the overlay. A name is its length
 * (1 byte) and its characters. A network is bytes of the address (1: 4 or 16), prefix length (1), address.
 */

const MAX_NAME_BYTES = 63

/** A network of the overlay. */
export interface ToldNetwork {
  /** 4 or 16 bytes. The bits after the prefix are zero. */
  readonly address: Uint8Array
  readonly prefixLength: number
}

export function nameBytes(name: string): Uint8Array {
  return Buffer.from([name.length, ...Buffer.from(name, 'latin1')])
}

/** @returns undefined if it is not 1 to 63 ASCII characters without spaces */
export function readName(taker: Taker): string | undefined {
  const length = taker.byte() ?? 0
  const bytes = length === 0 || length > MAX_NAME_BYTES ? undefined : taker.take(length)
  return bytes?.every((it) => it > 0x20 && it < 0x7f) ? Buffer.from(bytes).toString('latin1') : undefined
}

export function networkBytes({ address, prefixLength }: ToldNetwork): Uint8Array {
  return Buffer.from([address.length, prefixLength, ...address])
}

/** @returns undefined if it is no network: also if there are bits after the prefix */
export function readNetwork(taker: Taker): ToldNetwork | undefined {
  const [length, prefixLength] = [taker.byte(), taker.byte()]
  if ((length !== 4 && length !== 16) || prefixLength === undefined || prefixLength > length * 8)
    return undefined
  const address = taker.take(length)
  return address && isNetwork(address, prefixLength) ? { address, prefixLength } : undefined
}

/** Whether all bits after the prefix are zero. */
function isNetwork(address: Uint8Array, prefixLength: number): boolean {
  return address.every((byte, at) => (byte & (0xff >> Math.min(8, Math.max(0, prefixLength - 8 * at)))) === 0)
}
