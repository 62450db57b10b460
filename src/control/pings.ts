import type { Encap } from '../encap/encap.js'
import { outerBytes } from '../encap/encap.js'
import { UserError } from '../errors.js'
import { EAGAIN, EMSGSIZE, errnoName } from '../linux/errno.js'
import { type ControlMessage, controlFrameBytes } from '../wire/control.js'
import type { IpFamily } from '../wire/ip.js'
import type { Timer } from './clock.js'
import type { ControlChannel } from './control-channel.js'
import type { Roster } from './peer/roster.js'
import { familyOf } from './peer/underlay.js'
import type { Platform } from './platform.js'
import type { PrivateSide } from './private/private-side.js'

/** So many pings may wait for their answers. Whoever asks faster than this is no person. */
const MOST_WAITING = 1_024

/** No IP packet is longer. */
export const MOST_PACKET_BYTES = 65_535

export interface PingRequest {
  /** The name of a peer. */
  readonly peer: string
  /** Bytes of the IP packet on the underlay; undefined: the shortest. */
  readonly packetBytes?: number | undefined
  /** How long the answer is waited for. */
  readonly timeoutMs: number
}

/**
 * Why a ping was not sent: `too_long` for the interface on the way out, `over_mtu` of the device (only by ICMP),
 * `busy`, or the name of an errno.
 */
export type Unsent = 'over_mtu' | 'no_keys' | 'not_found' | 'no_route' | 'too_long' | 'busy' | (string & {})

/** What has become of one ping. */
export type PingOutcome =
  | {
      readonly answer: 'answered'
      readonly rtt_ms: number
      /** The path MTU from the peer to this host, as it knows it; null if it does not say. */
      readonly path_mtu_back_bytes: number | null
    }
  | { readonly answer: 'none' }
  | { readonly answer: 'unsent'; readonly reason: Unsent }

/** The answer to the command `ping`. */
export type PingReport = PingOutcome & {
  /** Bytes of the IP packet on the underlay that carried it. */
  readonly packet_bytes: number
}

export interface PingsContext {
  readonly encap: Encap
  readonly platform: Platform
  readonly roster: Roster
  readonly channel: ControlChannel
  /** Undefined if the tunnel is not private. */
  readonly privateSide: PrivateSide | undefined
}

interface Waiting {
  readonly row: number
  readonly sentMs: number
  readonly timer: Timer
  readonly end: (outcome: PingOutcome) => void
}

/**
 * Asks peers for somebody who waits: each ping is a keepalive with a token of its own. So every udptun-fast answers it,
 * and for the other end it is nothing else. It changes nothing of what this end knows of the peer.
 */
export class Pings {
  readonly #context: PingsContext
  readonly #waiting = new Map<bigint, Waiting>()

  constructor(context: PingsContext) {
    this.#context = context
    context.channel.onMessage((row, message) => this.#said(row, message))
  }

  /** Sends one ping. @throws UserError if no peer has this name, or if the size is impossible */
  async ask({ peer: name, packetBytes, timeoutMs }: PingRequest): Promise<PingReport> {
    const { channel, platform, privateSide, roster } = this.#context
    const peer = roster.get(name)
    if (peer === undefined) throw new UserError(`there is no peer "${name}" any more`)
    if (this.#context.encap.vni !== undefined)
      throw new UserError('no end of a VXLAN network answers these pings; ping its overlay address instead')
    if (this.#waiting.size >= MOST_WAITING)
      throw new UserError(`${MOST_WAITING} pings wait for an answer already; send fewer at once`)
    const { endpoint, row, underlay } = peer
    if (endpoint === undefined) return { answer: 'unsent', reason: 'not_found', packet_bytes: 0 }
    const { frameBytes, packet_bytes } = this.#size(endpoint.address, packetBytes)
    const unsent = (reason: Unsent): PingReport => ({ answer: 'unsent', reason, packet_bytes })
    if (underlay?.interface === undefined) return unsent('no_route')
    if (privateSide?.peer(row)?.hasKeypair === false) {
      // As for any frame that waits for keys.
      privateSide.peer(row)?.initiate(platform.clock.bootMs())
      return unsent('no_keys')
    }
    const token = channel.newToken()
    const sentMs = platform.clock.nowMs()
    const errno = channel.helloWhole(row, token, frameBytes)
    if (errno === EMSGSIZE) return unsent('too_long')
    if (errno === undefined || errno === EAGAIN) return unsent('busy')
    if (errno !== 0) return unsent(errnoName(errno))
    const outcome = await new Promise<PingOutcome>((end) => {
      const timer = platform.clock.after(timeoutMs, () => this.#end(token, { answer: 'none' }))
      this.#waiting.set(token, { row, sentMs, timer, end })
    })
    return { ...outcome, packet_bytes }
  }

  /** Nobody need wait any more. */
  close(): void {
    for (const token of [...this.#waiting.keys()]) this.#end(token, { answer: 'none' })
  }

  /** @throws UserError */
  #size(address: string, wanted: number | undefined): { frameBytes: number; packet_bytes: number } {
    const { encap } = this.#context
    const family = familyOf(address)
    const leastBytes = leastPingBytes(encap, family)
    const packet_bytes = wanted ?? leastBytes
    const mistake = pingSizeMistake(packet_bytes, leastBytes)
    if (mistake !== undefined) throw new UserError(mistake)
    return { frameBytes: packet_bytes - outerBytes(family) - encap.leastBytes, packet_bytes }
  }

  #said(row: number, { type, token, pathMtuBytes }: ControlMessage): void {
    const waiting = type === 'hello_ack' ? this.#waiting.get(token) : undefined
    if (waiting?.row !== row) return
    const rtt_ms = this.#context.platform.clock.nowMs() - waiting.sentMs
    this.#end(token, { answer: 'answered', rtt_ms, path_mtu_back_bytes: pathMtuBytes ?? null })
  }

  #end(token: bigint, outcome: PingOutcome): void {
    const waiting = this.#waiting.get(token)
    this.#waiting.delete(token)
    waiting?.timer.cancel()
    waiting?.end(outcome)
  }
}

/** The shortest IP packet on the underlay that carries a ping. */
export function leastPingBytes(encap: Encap, outer: IpFamily): number {
  return encap.packetBytes(controlFrameBytes(encap.mode), outer)
}

/** What is wrong with the size of a ping; undefined if nothing is. */
export function pingSizeMistake(packetBytes: number, leastBytes: number): string | undefined {
  return packetBytes >= leastBytes && packetBytes <= MOST_PACKET_BYTES
    ? undefined
    : `a packet of ${packetBytes} bytes cannot carry a ping to this peer; its size may be ${leastBytes} to ${MOST_PACKET_BYTES}`
}

/** Reads a request of the command socket. @throws UserError */
export function pingRequestOf(request: Readonly<Record<string, unknown>>): PingRequest {
  const { peer, packet_bytes, timeout_ms } = request
  const isCount = (value: unknown, most: number): value is number =>
    Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most
  if (typeof peer !== 'string' || !isCount(timeout_ms, 2 ** 31 - 1))
    throw new UserError('a ping needs the name of a peer, and how many milliseconds it may take')
  if (packet_bytes !== undefined && !isCount(packet_bytes, 2 ** 31 - 1))
    throw new UserError('the size of a ping is a number of bytes')
  return { peer, packetBytes: packet_bytes, timeoutMs: timeout_ms }
}
