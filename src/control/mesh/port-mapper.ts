import ipaddr from 'ipaddr.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import {
  type MapAnswer,
  type MapRequest,
  readPcp,
  readPmp,
  writePcpMap,
  writePmpAddress,
  writePmpMap,
} from '../../wire/pcp.js'

/**
 * A mapping is asked for so long, and renewed at half of that. A router that has restarted is found out then, because it
 * does not say so to those that do not listen for it.
 */
const LIFETIME_S = 1_200
const LEAST_RENEW_MS = 30_000

/** The pauses between tries with each protocol (RFC 6887, 8.1.1; RFC 6886, 3.1). */
const PCP_PAUSES_MS = [3_000, 6_000] as const
const PMP_PAUSES_MS = [250, 500, 1_000, 2_000, 4_000] as const

/** After this long, a router that has answered neither, or has refused, is asked again. */
const AGAIN_MS = 600_000

/** The epochs of two answers may differ so much from this host's clock, and by a sixteenth (RFC 6887, 8.5). */
const EPOCH_SLACK_S = 2

/** A mapping that a router has made. */
export interface PortMapping {
  readonly by: 'pcp' | 'nat-pmp'
  readonly external: Endpoint
  readonly lifetimeS: number
}

/**
 * Asks a router for a mapping of one port: when what is sent, and what an answer means. It sends nothing itself. PCP is
 * tried first, and NAT-PMP with a router that does not know it.
 */
export class PortMapper {
  readonly #client: Endpoint
  readonly #nonce: Uint8Array
  #by: PortMapping['by'] = 'pcp'
  #tries = 0
  #dueMs = Number.NEGATIVE_INFINITY
  #mapping: PortMapping | undefined
  #trouble: string | undefined
  /** When the mapping ends. */
  #overMs = Number.POSITIVE_INFINITY
  /** Whether the router has answered since the last rest. */
  #hasAnswered = false
  #epoch: { readonly epochS: number; readonly atMs: number } | undefined
  /** NAT-PMP tells the address apart. */
  #address: string | undefined
  /** How often the router has lost its mappings, as its epoch shows. */
  losses = 0

  /**
   * @param client this host's own address and port, on the inside
   * @param nonce random bytes, by which the router knows who may change the mapping
   */
  constructor(client: Endpoint, nonce: Uint8Array) {
    this.#client = client
    this.#nonce = nonce
  }

  get mapping(): PortMapping | undefined {
    return this.#mapping
  }

  /** Why there is no mapping, as the rest of a sentence; undefined if that is not known, or if there is one. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Must be called often. @returns the datagrams to send to the router now */
  tick(nowMs: number): Uint8Array[] {
    if (nowMs >= this.#overMs) {
      this.#mapping = undefined
      this.#overMs = Number.POSITIVE_INFINITY
    }
    if (nowMs < this.#dueMs) return []
    const pauses: readonly number[] = this.#by === 'pcp' ? PCP_PAUSES_MS : PMP_PAUSES_MS
    if (this.#tries >= pauses.length) {
      const wasPcp = this.#by === 'pcp'
      // A router that has answered in one protocol keeps it until the next rest.
      if (wasPcp && !this.#hasAnswered) this.#use('nat-pmp', nowMs)
      else this.#rest('does not answer', nowMs, AGAIN_MS)
      return wasPcp && this.#by === 'nat-pmp' ? this.tick(nowMs) : []
    }
    this.#dueMs = nowMs + pauses[this.#tries++]
    return this.#by === 'pcp' ? [writePcpMap(this.#request)] : [writePmpAddress(), writePmpMap(this.#request)]
  }

  /** A datagram has come from the router. */
  take(bytes: Uint8Array, nowMs: number): void {
    const answer = this.#by === 'pcp' ? readPcp(bytes, this.#request) : readPmp(bytes, this.#request)
    if (answer === undefined) return
    if (answer.kind === 'unsupported') this.#use('nat-pmp', nowMs)
    else if (answer.kind === 'refused') {
      const pauseMs = Math.max(answer.lifetimeS * 1000, LEAST_RENEW_MS)
      this.#mapping = undefined
      this.#rest(`refuses a mapping (${answer.why})`, nowMs, Math.min(Math.max(pauseMs, 60_000), AGAIN_MS))
    } else this.#takeGood(answer, nowMs)
  }

  #takeGood(answer: Extract<MapAnswer, { epochS: number }>, nowMs: number): void {
    const isLost = this.#isLost(answer.epochS, nowMs)
    this.#epoch = { epochS: answer.epochS, atMs: nowMs }
    this.#hasAnswered = true
    if (isLost) this.losses++
    if (answer.kind === 'address') {
      this.#address = answer.address
      // It has forgotten the mapping, too.
      if (isLost) this.#dueMs = nowMs
      return
    }
    const address = answer.address ?? this.#address
    // The datagram with the address may have been lost.
    if (address === undefined) return
    if (!isOuter(address)) {
      this.#mapping = undefined
      this.#rest(`has itself no address outside (${address})`, nowMs, AGAIN_MS)
      return
    }
    this.#trouble = undefined
    this.#tries = 0
    this.#mapping = { by: this.#by, external: { address, port: answer.port }, lifetimeS: answer.lifetimeS }
    this.#overMs = nowMs + answer.lifetimeS * 1000
    this.#dueMs = nowMs + Math.max((answer.lifetimeS * 1000) / 2, LEAST_RENEW_MS)
  }

  /** Whether the router's epoch does not go on as this host's clock does: it has lost its mappings (RFC 6887, 8.5). */
  #isLost(epochS: number, nowMs: number): boolean {
    if (this.#epoch === undefined) return false
    const clientS = (nowMs - this.#epoch.atMs) / 1000
    const serverS = epochS - this.#epoch.epochS
    if (serverS < -1) return true
    return (
      clientS + EPOCH_SLACK_S < serverS - serverS / 16 || serverS + EPOCH_SLACK_S < clientS - clientS / 16
    )
  }

  /** What removes the mapping; undefined if there is none. */
  removal(): Uint8Array | undefined {
    if (this.#mapping === undefined) return undefined
    const request = { ...this.#request, lifetimeS: 0 }
    // After a rest, the other protocol may be tried now.
    return this.#mapping.by === 'pcp' ? writePcpMap(request) : writePmpMap(request)
  }

  get #request(): MapRequest {
    const suggested = this.#mapping?.external
    return { nonce: this.#nonce, client: this.#client, suggested, lifetimeS: LIFETIME_S }
  }

  #use(by: PortMapping['by'], nowMs: number): void {
    this.#by = by
    this.#tries = 0
    this.#dueMs = nowMs
  }

  #rest(trouble: string, nowMs: number, pauseMs: number): void {
    this.#trouble = trouble
    // Both protocols are tried again: PCP first, and its silence says nothing of NAT-PMP.
    this.#hasAnswered = false
    this.#use('pcp', nowMs + pauseMs)
  }
}

/** Whether others than those behind the router could use an address. */
function isOuter(address: string): boolean {
  return ipaddr.parse(address).range() !== 'unspecified'
}
