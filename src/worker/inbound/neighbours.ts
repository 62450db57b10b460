import { AF_INET } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { resolvedNeighbours } from '../../linux/neighbours.js'
import { Netlink } from '../../linux/netlink.js'
import { sockaddr_in, sockaddr_in6 } from '../../linux/structs.js'

/** How long an answer of rtnetlink is good. */
const FRESH_MS = 1_000

/** Neighbours remembered. A power of two, and twice as many places, so that a look-up is short. */
const NEIGHBOURS = 4_096
const PLACES = 2 * NEIGHBOURS
const WORDS = 4

/** The third word of an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), as it lies in memory. */
const MAPPED = 0xffff_0000 | 0

/**
 * Which hosts of the same link the kernel can send to at once. What goes to another one waits in the socket's send
 * buffer for an answer to ARP or NDP, which may never come. rtnetlink is asked at most once a second, and only while
 * somebody asks here.
 */
export class Neighbours {
  readonly #memory: NativeMemory
  readonly #list: () => readonly { readonly address: Uint8Array }[]
  /** A hash table of addresses, four words each, all zero for a free place. */
  readonly #places = new Int32Array(PLACES * WORDS)
  #listedMs = Number.NEGATIVE_INFINITY

  /** @param list what rtnetlink says, for a test to say something else */
  constructor(memory: NativeMemory, list = listNeighbours()) {
    this.#memory = memory
    this.#list = list
  }

  /** @param name offset of a socket address, a multiple of 4 */
  isResolved(name: number, nowMs: number): boolean {
    if (nowMs - this.#listedMs >= FRESH_MS) this.#renew(nowMs)
    const { i32, u16 } = this.#memory
    if (u16[name >>> 1] === AF_INET) return this.#has(0, 0, MAPPED, i32[(name + sockaddr_in.sin_addr) >>> 2])
    const words = (name + sockaddr_in6.sin6_addr) >>> 2
    return this.#has(i32[words], i32[words + 1], i32[words + 2], i32[words + 3])
  }

  #renew(nowMs: number): void {
    this.#listedMs = nowMs
    this.#places.fill(0)
    for (const { address } of this.#list().slice(0, NEIGHBOURS)) {
      const words = new Int32Array(WORDS)
      words[2] = MAPPED
      new Uint8Array(words.buffer).set(address, 16 - address.length)
      const [a, b, c, d] = words
      const at = this.#find(a, b, c, d)
      this.#places.set(words, at)
    }
  }

  #has(a: number, b: number, c: number, d: number): boolean {
    const at = this.#find(a, b, c, d)
    return this.#places[at + 2] !== 0 || this.#places[at + 3] !== 0 || this.#places[at] !== 0
  }

  /** Index of the address's place, or of the free one that it would have. */
  #find(a: number, b: number, c: number, d: number): number {
    const places = this.#places
    let place = Math.imul(d ^ Math.imul(b ^ a ^ c, 0x85ebca6b), 0x9e3779b1) >>> 19
    for (;;) {
      const at = (place & (PLACES - 1)) * WORDS
      const isFree = places[at] === 0 && places[at + 1] === 0 && places[at + 2] === 0 && places[at + 3] === 0
      const isIt = places[at] === a && places[at + 1] === b && places[at + 2] === c && places[at + 3] === d
      if (isFree || isIt) return at
      place++
    }
  }
}

/** Opens its socket only when it is asked first. If the kernel does not answer, nobody is resolved. */
function listNeighbours(): () => readonly { readonly address: Uint8Array }[] {
  let netlink: Netlink | undefined
  return () => {
    try {
      netlink ??= new Netlink()
      return resolvedNeighbours(netlink)
    } catch {
      return []
    }
  }
}
