import { ANY, type Asked } from '../../memory/access-rules.js'
import { KEY_WORDS } from '../../memory/flows.js'
import {
  ICMP_HEADER_BYTES,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_FIRST_INFORMATIONAL,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  TYPE_ECHO,
  TYPE_ECHO_REPLY,
  TYPE_ECHO_REPLY_V6,
  TYPE_ECHO_V6,
} from '../../wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../../wire/ip.js'
import { IPV4, IPV4_FRAGMENT_OFFSET, IPV4_NOT_DF } from '../../wire/ipv4.js'
import { IPV6, IPV6_FRAGMENT_OFFSET, ipv6Fragment, ipv6Upper } from '../../wire/ipv6.js'
import { IPPROTO_TCP, TCP, TCP_ACK, TCP_SYN } from '../../wire/tcp.js'
import { IPPROTO_UDP } from '../../wire/udp.js'

/** What a packet is to access rules. */
export const KIND = {
  /** It belongs to no flow: it has no ports where there should be some, or is an ICMP message that is no echo. */
  single: 0,
  flow: 1,
  /** A fragment that is not the first one. Its ports are in the first one. */
  fragment: 2,
  /** An ICMP error. The key is that of the packet that it is about. */
  error: 3,
} as const

const DCCP = 33
const SCTP = 132
const UDP_LITE = 136

/** In the word of ports of an echo: on which side the question was asked. */
const ASKED_HERE = 1
const ASKED_THERE = 2

/** Seconds after which a flow is forgotten: RFC 5382, 5 (TCP), RFC 4787, 4.3 (UDP and others), RFC 5508, 3.2 (ICMP). */
const TCP_TIMEOUT_S = 2 * 60 * 60 + 4 * 60
const UDP_TIMEOUT_S = 5 * 60
const ICMP_TIMEOUT_S = 60
/** As long as a host waits for fragments of IPv4 (RFC 1122, 3.3.2, has 60 to 120; Linux has 30). */
const FRAGMENT_TIMEOUT_S = 30

/** In the first word of a key. The protocol is in the low bits. */
const VERSION_6 = 0x100
const FRAGMENT = 0x200

const NEAR = 3
const FAR = NEAR + 4

/**
 * Finds out to which flow a packet belongs. The key of a flow is the same for both directions.
 *
 * Words of a key: IP version, kind and protocol; the near port and the far one, the identifier of an echo, or that of a
 * fragment; 0, or on which side an echo was asked for; the near address and the far one, four words each. Near is the
 * side of the device.
 */
export class FlowKey implements Asked {
  readonly words = new Int32Array(KEY_WORDS)
  readonly destination = new Int32Array(4)
  kind: number = KIND.single
  version = 4
  protocol = 0
  port = ANY
  timeoutS = 0
  /** Whether such a packet may begin a flow. */
  begins = false
  /** Whether it is TCP, and does not open a connection. */
  isMidStream = false
  /** Whether it is the first fragment of a packet, the identifier of which is then in `fragmentId`. */
  isFirstFragment = false
  #fragmentId = 0
  readonly #view: DataView

  constructor(view: DataView) {
    this.#view = view
  }

  /** @param outward whether the device has sent it @returns its {@link KIND} */
  read(packet: number, bytes: number, outward: boolean): number {
    this.#readDestination(packet)
    this.#parse(packet, packet + bytes, outward, true)
    return this.kind
  }

  /** Turns the key of a first fragment into that of the fragments after it. */
  toFragments(): void {
    this.#fragmentKey(this.#fragmentId)
  }

  /** Of a packet that the device has sent: now it is asked for its answers, which come to the near side. */
  toAnswer(): this {
    for (let word = 0; word < 4; word++) this.destination[word] = this.words[NEAR + word]
    if (this.port !== ANY) this.port = this.words[1] >>> 16
    return this
  }

  #readDestination(packet: number): void {
    const isV4 = this.#view.getUint8(packet) >>> 4 === 4
    const at = packet + (isV4 ? IPV4.destination : IPV6.destination)
    for (let word = 0; word < 4; word++)
      this.destination[word] = word === 0 || !isV4 ? this.#view.getInt32(at + 4 * word) : 0
  }

  #parse(packet: number, end: number, outward: boolean, mayBeError: boolean): void {
    this.kind = KIND.single
    this.port = ANY
    this.begins = false
    this.isMidStream = false
    this.isFirstFragment = false
    this.version = this.#view.getUint8(packet) >>> 4
    if (this.version === 4) this.#parse4(packet, end, outward, mayBeError)
    else this.#parse6(packet, end, outward, mayBeError)
  }

  #parse4(packet: number, end: number, outward: boolean, mayBeError: boolean): void {
    const view = this.#view
    if (packet + IPV4_HEADER_BYTES > end) return
    this.protocol = view.getUint8(packet + IPV4.protocol)
    this.#addresses(packet, IPV4.source, IPV4.destination, 1, outward)
    const fragment = view.getUint16(packet + IPV4.flagsFragment) & IPV4_NOT_DF
    const id = view.getUint16(packet + IPV4.id)
    if ((fragment & IPV4_FRAGMENT_OFFSET) !== 0) {
      this.#fragmentKey(id)
      return
    }
    this.isFirstFragment = fragment !== 0
    this.#fragmentId = id
    const header = (view.getUint8(packet + IPV4.versionIhl) & 0xf) * 4
    this.#upper(packet + Math.max(header, IPV4_HEADER_BYTES), end, outward, mayBeError)
  }

  #parse6(packet: number, end: number, outward: boolean, mayBeError: boolean): void {
    const view = this.#view
    if (packet + IPV6_HEADER_BYTES > end) return
    this.protocol = view.getUint8(packet + IPV6.nextHeader)
    this.#addresses(packet, IPV6.source, IPV6.destination, 4, outward)
    const fragment = ipv6Fragment(view, packet, end)
    if (fragment >= 0) {
      this.#fragmentId = view.getInt32(fragment + 4)
      if ((view.getUint16(fragment + 2) & IPV6_FRAGMENT_OFFSET) !== 0) {
        this.protocol = view.getUint8(fragment)
        this.#fragmentKey(this.#fragmentId)
        return
      }
      this.isFirstFragment = true
    }
    const upper = ipv6Upper(view, packet, end)
    if (upper < 0) return
    this.protocol = upper & 0xff
    this.#upper(packet + (upper >>> 8), end, outward, mayBeError)
  }

  #addresses(packet: number, source: number, destination: number, words: number, outward: boolean): void {
    const near = packet + (outward ? source : destination)
    const far = packet + (outward ? destination : source)
    for (let word = 0; word < 4; word++) {
      this.words[NEAR + word] = word < words ? this.#view.getInt32(near + 4 * word) : 0
      this.words[FAR + word] = word < words ? this.#view.getInt32(far + 4 * word) : 0
    }
  }

  /** @param at where the transport header begins */
  #upper(at: number, end: number, outward: boolean, mayBeError: boolean): void {
    const { protocol } = this
    if (protocol === (this.version === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
      this.#icmp(at, end, outward, mayBeError)
      return
    }
    const hasPorts =
      protocol === IPPROTO_TCP ||
      protocol === IPPROTO_UDP ||
      protocol === SCTP ||
      protocol === DCCP ||
      protocol === UDP_LITE
    let ports = 0
    if (hasPorts) {
      if (at + 4 > end) return
      const first = this.#view.getUint16(at)
      const second = this.#view.getUint16(at + 2)
      this.port = second
      ports = outward ? (first << 16) | second : (second << 16) | first
    }
    const isTcp = protocol === IPPROTO_TCP
    this.#flowKey(ports, 0, isTcp ? TCP_TIMEOUT_S : UDP_TIMEOUT_S)
    this.begins = true
    this.isMidStream = isTcp && !(at + TCP.flags < end && opens(this.#view.getUint8(at + TCP.flags)))
  }

  #icmp(at: number, end: number, outward: boolean, mayBeError: boolean): void {
    if (at + ICMP_HEADER_BYTES > end) return
    const view = this.#view
    const type = view.getUint8(at)
    const is4 = this.version === 4
    const isQuestion = type === (is4 ? TYPE_ECHO : TYPE_ECHO_V6)
    if (isQuestion || type === (is4 ? TYPE_ECHO_REPLY : TYPE_ECHO_REPLY_V6)) {
      this.#flowKey(view.getUint16(at + 4), isQuestion === outward ? ASKED_HERE : ASKED_THERE, ICMP_TIMEOUT_S)
      this.begins = isQuestion
      return
    }
    const isError = is4
      ? type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED || type === ICMP_PARAMETER_PROBLEM
      : type < ICMPV6_FIRST_INFORMATIONAL
    if (!isError || !mayBeError || outward) return
    const { version, protocol } = this
    const inner = at + ICMP_HEADER_BYTES
    // It is about a packet that the device has sent.
    if (inner < end && view.getUint8(inner) >>> 4 === version) this.#parse(inner, end, true, false)
    this.kind = this.kind === KIND.flow ? KIND.error : KIND.single
    this.version = version
    this.protocol = protocol
    this.port = ANY
    this.begins = false
    this.isFirstFragment = false
  }

  #flowKey(ports: number, asked: number, timeoutS: number): void {
    this.kind = KIND.flow
    this.timeoutS = timeoutS
    this.words[0] = this.protocol | (this.version === 6 ? VERSION_6 : 0)
    this.words[1] = ports
    this.words[2] = asked
  }

  /** Of IPv6, the fragments of a packet may have different next headers: they are not part of its name (RFC 8200, 4.5). */
  #fragmentKey(id: number): void {
    this.kind = KIND.fragment
    this.timeoutS = FRAGMENT_TIMEOUT_S
    this.words[0] = FRAGMENT | (this.version === 6 ? VERSION_6 : this.protocol)
    this.words[1] = id
    this.words[2] = 0
  }
}

/** @param flags of a TCP segment */
function opens(flags: number): boolean {
  return (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN
}
