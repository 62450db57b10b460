/**
 * Sends UDP datagrams over IPv4 from any source address, as fast as the kernel takes them or at a given rate.
 * Their size and content are random or given. The argument is a {@link Flood} in JSON. At the end it prints a
 * {@link FloodReport} in JSON.
 */
import type { Endpoint } from '../../../src/linux/sockaddr.js'
import { type FloodReport, sendFlood } from '../../attacks/raw-flood.js'
import { Noise } from './noise.js'

export type { FloodReport }

export interface Flood {
  readonly to: Endpoint
  /** Used in turn. */
  readonly from: readonly Endpoint[]
  readonly datagrams: number
  /** The longest payload. The shortest is empty. */
  readonly maxBytes: number
  readonly seed: number
  /** In base64, used in turn instead of random ones. */
  readonly payloads?: readonly string[]
  /** Datagrams per second. Undefined: as fast as the kernel takes them. */
  readonly perSecond?: number
}

/** Payloads are taken from random places of this many random bytes. */
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
