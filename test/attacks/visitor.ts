import { createCipheriv, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { newPrivateKey } from '../../src/crypto/primitives.js'
import { recv, sendto } from '../../src/linux/libc.js'
import { type Endpoint, encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { openUdp, type UdpSocket } from '../../src/linux/udp.js'
import { createInitiation, knowPeer, type Protocol, readResponse } from '../../src/noise/handshake.js'
import { Identity, OwnIdentity } from '../../src/noise/keys.js'
import { MacStamp } from '../../src/noise/macs.js'
import { tai64n } from '../../src/noise/tai64n.js'
import { RELAY_NAME_BYTES, type RelayName, TO_INTRODUCER } from '../../src/wire/relay.js'
import {
  COOKIE_REPLY,
  INITIATION,
  MESSAGE,
  RESPONSE,
  TAG_BYTES,
  TRANSPORT,
  TRANSPORT_HEADER_BYTES,
} from '../../src/wire/wireguard.js'

const BUFFER_BYTES = 8 << 20

export interface VisitorOptions {
  readonly secret: Uint8Array
  /** The target's public key, and where it is, over IPv4. */
  readonly key: Uint8Array
  readonly to: Endpoint
  /** The port to come from. */
  readonly port: number
  readonly protocol: Protocol
}

/** What seals for the target. */
export class Session {
  readonly #receiver: number
  readonly #key: Uint8Array
  #counter = 0n

  constructor(receiver: number, key: Uint8Array) {
    this.#receiver = receiver
    this.#key = key
  }

  /** Transport data with this packet inside. */
  seal(packet: Uint8Array): Buffer {
    const padded = Buffer.alloc((packet.length + 15) & -16)
    padded.set(packet)
    return this.#seal(MESSAGE.transport, padded)
  }

  /** A message that is to be relayed to a member of this name. */
  sealRelayed({ low, high }: RelayName, message: Uint8Array): Buffer {
    const name = Buffer.alloc(RELAY_NAME_BYTES)
    name.writeUInt32LE(low >>> 0, 0)
    name.writeUInt32LE((high | TO_INTRODUCER) >>> 0, 4)
    return Buffer.concat([this.#seal(MESSAGE.relay, name), message])
  }

  #seal(type: number, plain: Uint8Array): Buffer {
    const header = Buffer.alloc(TRANSPORT_HEADER_BYTES)
    header.writeUInt32LE(type, TRANSPORT.type)
    header.writeUInt32LE(this.#receiver, TRANSPORT.receiver)
    header.writeBigUInt64LE(this.#counter++, TRANSPORT.counter)
    const nonce = Buffer.concat([Buffer.alloc(4), header.subarray(TRANSPORT.counter)])
    const cipher = createCipheriv('chacha20-poly1305', this.#key, nonce, { authTagLength: TAG_BYTES })
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }
}

/** Comes to a WireGuard as one of its peers. It has no timers: it does only what it is told. */
export class Visitor {
  /** Cookies that have come. */
  cookies = 0
  readonly #socket: UdpSocket
  readonly #name: Uint8Array
  readonly #own: OwnIdentity
  readonly #target: NonNullable<ReturnType<typeof knowPeer>>
  readonly #protocol: Protocol
  readonly #incoming = Buffer.alloc(65_536)

  /** @throws RangeError if no host can have that public key */
  constructor({ secret, key, to, port, protocol }: VisitorOptions) {
    this.#own = new OwnIdentity(Buffer.from(secret))
    const target = knowPeer(this.#own, new Identity(Buffer.from(key)))
    if (target === undefined) throw new RangeError('the key is one that no host can have')
    this.#target = target
    this.#protocol = protocol
    const listen = { address: undefined, port }
    this.#socket = openUdp({ listen, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES })
    this.#name = encodeSockaddr(this.#socket.family, to)
  }

  newStamp(): MacStamp {
    return new MacStamp(this.#target.identity)
  }

  /** One initiation, and what comes of it within the time; undefined if that is no session. */
  async attempt(stamp: MacStamp, withinMs: number): Promise<Session | undefined> {
    const index = randomBytes(4).readUInt32LE()
    const time = tai64n(Date.now())
    const made = createInitiation(this.#protocol, this.#own, this.#target, index, newPrivateKey(), time)
    stamp.stamp(made.message, performance.now())
    const untilMs = performance.now() + withinMs
    this.#send(made.message)
    for (;;) {
      const message = await this.#hear(index, [MESSAGE.response, MESSAGE.cookieReply], untilMs)
      if (message === undefined) return undefined
      if (message.readUInt32LE() === MESSAGE.cookieReply) {
        if (stamp.takeReply(message, performance.now())) this.cookies++
        continue
      }
      const keys = readResponse(made.initiated, this.#own, this.#target, message)
      if (keys === undefined) continue
      const session = new Session(message.readUInt32LE(INITIATION.sender), keys.send)
      // Nothing, sealed: it tells the other end that the keys are in use.
      this.#send(session.seal(new Uint8Array(0)))
      return session
    }
  }

  #send(message: Uint8Array): void {
    const { fd, family } = this.#socket
    // Once more: an ICMP error that waits fails one send.
    for (let tries = 0; tries < 2; tries++)
      if (sendto(fd, message, message.length, 0, this.#name, sockaddrLength(family)) >= 0) return
  }

  /** A message for `index` of one of these types, once one has come; undefined when the time is up. */
  async #hear(index: number, types: readonly number[], untilMs: number): Promise<Buffer | undefined> {
    const incoming = this.#incoming
    for (;;) {
      const bytes = recv(this.#socket.fd, incoming, incoming.length, 0)
      if (bytes < 0) {
        if (performance.now() >= untilMs) return undefined
        await sleep(1)
        continue
      }
      const type = bytes < COOKIE_REPLY.size ? 0 : incoming.readUInt32LE()
      const at = type === MESSAGE.response ? RESPONSE.receiver : COOKIE_REPLY.receiver
      if (types.includes(type) && incoming.readUInt32LE(at) === index)
        return Buffer.from(incoming.subarray(0, bytes))
    }
  }
}
