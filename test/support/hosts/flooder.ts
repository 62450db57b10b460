/**
 * Sends UDP datagrams over IPv4 as fast as the kernel takes them, of random size and content (or given ones, at a
 * given rate) and from any source. The argument is a {@link Flood} in JSON, as is the {@link FloodReport} that it
 * prints at the end.
 */
import type { Endpoint } from '../../../src/linux/sockaddr.js'
import { type FloodReport, sendFlood } from '../../net/attacks/raw-flood.js'
import { Noise } from './noise.js'

export type { FloodReport }

export interface Flood {
  readonly to: Endpoint
  /** Taken by turns. */
  readonly from: readonly Endpoint[]
  readonly datagrams: number
  /** The longest payload. The shortest is empty. */
  readonly maxBytes: number
  readonly seed: number
  /** In base64, taken by turns in place of random ones. */
  readonly payloads?: readonly string[]
  /** How many a second; without, as fast as the kernel takes them. */
  readonly perSecond?: number
}

/** Payloads are taken from anywhere in as many random bytes. */
const NOISE_BYTES = 1 << 20

const flood: Flood = JSON.parse(process.argv[2])
const { maxBytes, seed, perSecond = Number.POSITIVE_INFINITY } = flood
const payloads = (flood.payloads ?? []).map((it) => Buffer.from(it, 'base64'))
const noise = new Noise(seed)
const contents = noise.bytes(NOISE_BYTES + maxBytes)
const random = () => {
  const where = noise.integer(0, NOISE_BYTES - 1)
  return contents.subarray(where, where + noise.integer(0, maxBytes))
}
const payload = (index: number) => (payloads.length > 0 ? payloads[index % payloads.length] : random())
const report = await sendFlood({ ...flood, perSecond, payload })
process.stdout.write(`${JSON.stringify(report)}\n`)
