import { randomInt } from 'node:crypto'
import { AF_INET } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { sockaddr_in, sockaddr_in6 } from '../../linux/structs.js'
import { Rates } from '../../rates.js'

/**
 * Hosts remembered. A new host may take the place of an old one, and starts with a fresh rate. So an attacker
 * with many addresses cannot lock out anybody else.
 */
const HOSTS = 8_192

/** The third word of an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), as it lies in memory. */
const MAPPED = 0xffff_0000

/**
 * Limits how often a host may do something. A host is told by its socket address: an IPv4 address, or the /64
 * of an IPv6 address, because each host has that much. It uses bounded memory, and allocates nothing.
 */
export class HostRates {
  readonly #memory: NativeMemory
  readonly #rates: Rates
  readonly #hosts = new Int32Array(HOSTS * 2)
  /** Random, so that nobody can tell which hosts share a place. */
  readonly #seed = randomInt(2 ** 32)

  constructor(memory: NativeMemory, perSecond: number, burst: number) {
    this.#memory = memory
    this.#rates = new Rates(HOSTS, perSecond, burst)
  }

  /** @param name offset of a socket address, a multiple of 4 */
  allows(name: number, nowMs: number): boolean {
    const { i32, u32, u16 } = this.#memory
    let high = 0
    let low: number
    if (u16[name >>> 1] === AF_INET) low = i32[(name + sockaddr_in.sin_addr) >>> 2]
    else {
      const words = (name + sockaddr_in6.sin6_addr) >>> 2
      const mapped = i32[words] === 0 && i32[words + 1] === 0 && u32[words + 2] === MAPPED
      if (!mapped) high = i32[words]
      low = i32[mapped ? words + 3 : words + 1]
    }
    const slot = this.#slotOf(high, low)
    const at = slot * 2
    if (this.#hosts[at] !== high || this.#hosts[at + 1] !== low) {
      this.#hosts[at] = high
      this.#hosts[at + 1] = low
      this.#rates.renew(slot)
    }
    return this.#rates.allows(slot, nowMs)
  }

  #slotOf(high: number, low: number): number {
    const hash = stir(stir(this.#seed, high), low)
    return (hash ^ (hash >>> 13)) & (HOSTS - 1)
  }
}

function stir(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1)
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b)
}
