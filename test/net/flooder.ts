/**
 * Sends UDP datagrams over IPv4 as fast as the kernel takes them, of random size and content and from any
 * source: packets made whole and sent by a raw socket (raw(7), `IPPROTO_RAW`). The argument is a {@link Flood}
 * in JSON; the last line of its output a {@link FloodReport}.
 */
import { createHash } from 'node:crypto'
import { Scratch, MessageVector } from '../../src/forward/scratch.js'
import { AF_INET, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET, SO_SNDBUFFORCE } from '../../src/linux/constants.js'
import { must, sendmmsg, setsockopt, socket } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { encodeSockaddr, type Endpoint, SOCKADDR_BYTES, sockaddrLength } from '../../src/linux/sockaddr.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../../src/wire/ip.js'
import { Noise } from './noise.js'

export interface Flood {
  readonly to: Endpoint
  /** Taken by turns. */
  readonly from: readonly Endpoint[]
  readonly datagrams: number
  /** Payload bytes, both included. */
  readonly bytes: readonly [least: number, most: number]
  readonly seed: number
}
