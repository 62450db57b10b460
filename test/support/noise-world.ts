/**
 * Ends of handshakes in one process. The test controls their clock, their wire and their randomness. Their
 * keypairs seal and open with `node:crypto`.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { findCrypto } from '../../src/crypto/find-crypto.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { SOCKADDR_BYTES } from '../../src/linux/sockaddr.js'
import { knowPeer, Protocol, type TransportKeys } from '../../src/noise/handshake.js'
import { Handshakes, type Verdict } from '../../src/noise/handshakes.js'
import type { Activity, Keypairs } from '../../src/noise/keypairs.js'
import { Identity, OwnIdentity } from '../../src/noise/keys.js'
import type { Peer, PeerOptions } from '../../src/noise/peer.js'
import { COOKIE_REPLY, INITIATION, MESSAGE, RESPONSE, TRANSPORT } from '../../src/wire/wireguard.js'
import { makeMacCheck } from '../../src/worker/private-parts.js'
import { Scratch } from '../../src/worker/scratch.js'
import { knownEphemeral } from './known-ephemeral.js'

interface Held {
  readonly row: number
  remoteIndex: number
  keys: TransportKeys | undefined
  sealed: number
  opened: boolean
  expectsCookie: boolean
}

type Counts = { -readonly [K in keyof Activity]: number }

/** An implementation of {@link Keypairs}, with the part of the workers. */
export class HeldKeypairs implements Keypairs {
  readonly held = new Map<number, Held>()
  readonly sealing = new Map<number, number>()
  readonly #activity = new Map<number, Counts>()
  #nextIndex = 1000

  reserve(row: number): number {
    const index = this.#nextIndex++
    this.held.set(index, {
      row,
      remoteIndex: 0,
      keys: undefined,
      sealed: 0,
      opened: false,
      expectsCookie: false,
    })
    return index
  }

  rowOf(index: number): number | undefined {
    return this.held.get(index)?.row
  }

  expectCookie(index: number, expected: boolean): void {
    this.#of(index).expectsCookie = expected
  }

  establish(index: number, remoteIndex: number, keys: TransportKeys): void {
    const held = this.#of(index)
    held.remoteIndex = remoteIndex
    held.keys = { send: Buffer.from(keys.send), receive: Buffer.from(keys.receive) }
  }

  sealWith(row: number, index: number | undefined): void {
    if (index === undefined) this.sealing.delete(row)
    else this.sealing.set(row, index)
  }

  sealed(index: number): number {
    return this.#of(index).sealed
  }

  release(index: number): void {
    this.held.delete(index)
  }

  activity(row: number): Activity {
    return { ...this.counts(row) }
  }

  counts(row: number): Counts {
    const counts = this.#activity.get(row) ?? { sentData: 0, sent: 0, receivedData: 0, received: 0 }
    this.#activity.set(row, counts)
    return counts
  }

  #of(index: number): Held {
    const held = this.held.get(index)
    if (held === undefined) throw new Error(`there is no keypair ${index}`)
    return held
  }

  seal(row: number, plain: Uint8Array): Buffer | undefined {
    const index = this.sealing.get(row)
    const held = index === undefined ? undefined : this.held.get(index)
    if (held?.keys === undefined) return undefined
    const header = Buffer.alloc(TRANSPORT.packet)
    header.writeUInt32LE(MESSAGE.transport, TRANSPORT.type)
    header.writeUInt32LE(held.remoteIndex, TRANSPORT.receiver)
    header.writeUInt32LE(held.sealed++, TRANSPORT.counter)
    const cipher = createCipheriv('chacha20-poly1305', held.keys.send, nonceOf(header), { authTagLength: 16 })
    const counts = this.counts(row)
    counts.sent++
    if (plain.length > 0) counts.sentData++
    return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  }

  /**
   * Opens a message. Returns its peer's row, its contents, its index, and whether it is the first that its keypair
   * opens.
   */
  open(message: Buffer): { row: number; plain: Buffer; index: number; first: boolean } | undefined {
    const index = message.readUInt32LE(TRANSPORT.receiver)
    const held = this.held.get(index)
    if (held?.keys === undefined) return undefined
    const decipher = createDecipheriv('chacha20-poly1305', held.keys.receive, nonceOf(message), {
      authTagLength: 16,
    })
    decipher.setAuthTag(message.subarray(-16))
    const plain = decipher.update(message.subarray(TRANSPORT.packet, -16))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    const counts = this.counts(held.row)
    counts.received++
    if (plain.length > 0) counts.receivedData++
    const first = !held.opened
    held.opened = true
    return { row: held.row, plain, index, first }
  }
}

function nonceOf(header: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(4), header.subarray(TRANSPORT.counter, TRANSPORT.packet)])
}

export interface Sent {
  readonly from: string
  readonly to: string
  readonly message: Buffer
  readonly atMs: number
}

/** One end. Everything that it sends goes over the wire of the world. */
export class End {
  readonly address: string
  readonly identity: OwnIdentity
  readonly keypairs = new HeldKeypairs()
  readonly handshakes: Handshakes
  /** The result for each message that it was given. */
  readonly verdicts: (Verdict | 'wrong mac1' | 'cookie')[] = []
  /** The contents of the messages that it has opened; a keepalive is empty. */
  readonly opened: Buffer[] = []
  /** If set, initiations need a right mac2, as when a gate has no room for others. */
  underLoad = false
  /** Begins the handshake that a timer asks for. */
  begin = (row: number): void => this.handshakes.peer(row)?.initiate(this.#world.nowMs)
  /** Addresses from which no peer is accepted. */
  readonly refused = new Set<string>()
  /** Whether each handshake message that moved a peer was an answer. */
  readonly roams: { readonly answers: boolean }[] = []
  /** The address of each peer. */
  readonly #places = new Map<number, Buffer>()
  readonly #world: World
  readonly #macs: ReturnType<typeof makeMacs>

  constructor(world: World, address: string, secret: number, protocol = Protocol.wireguard) {
    this.#world = world
    this.address = address
    this.identity = new OwnIdentity(new Uint8Array(32).fill(secret))
    this.#macs = makeMacs(this.identity)
    this.handshakes = new Handshakes({
      protocol,
      own: this.identity,
      keypairs: this.keypairs,
      random: (bytes) => world.random(bytes),
      ephemeral: () => knownEphemeral(world.random(32)),
      unixMs: () => 1_700_000_000_000 + world.nowMs,
      send: (message, to) => world.send(this.address, Buffer.from(to).toString(), message),
      begin: (row) => this.begin(row),
      sendKeepalive: (row) => this.sendData(row, new Uint8Array()),
      endpointOf: (row) => this.#places.get(row),
      roamed: (row, source, answers) => {
        this.roams.push({ answers })
        return this.#roamed(row, Buffer.from(source))
      },
    })
  }

  knows(other: End, options: Partial<PeerOptions> & { presharedKey?: Uint8Array } = {}): Peer {
    const { presharedKey, ...rest } = options
    const acquaintance = knowPeer(this.identity, new Identity(other.identity.publicKey), presharedKey)
    if (acquaintance === undefined) throw new Error('a key of small order')
    const peer = this.handshakes.add({ row: 0, known: acquaintance, ...rest }, this.#world.nowMs)
    this.#places.set(peer.row, Buffer.from(other.address))
    return peer
  }

  #roamed(row: number, source: Buffer): boolean {
    if (this.refused.has(source.toString())) return false
    this.#places.set(row, source)
    return true
  }

  /** The part of a worker: seals data and sends it, or asks for a handshake. */
  sendData(row: number, plain: Uint8Array): boolean {
    const peer = this.handshakes.peer(row)
    const message = this.keypairs.seal(row, plain)
    if (message !== undefined && peer?.endpoint !== undefined) {
      this.#world.send(this.address, Buffer.from(peer.endpoint).toString(), message)
      return true
    }
    peer?.initiate(this.#world.nowMs)
    return false
  }

  receive(message: Buffer, from: string): void {
    if (message.length >= 32 && message.readUInt32LE(0) === MESSAGE.transport) {
      const opened = this.keypairs.open(message)
      if (opened === undefined) return
      this.opened.push(opened.plain)
      const peer = this.handshakes.peer(opened.row)
      if (opened.first) peer?.confirm(opened.index)
      this.#roamed(opened.row, Buffer.from(from))
      return
    }
    const nowMs = this.#world.nowMs
    this.verdicts.push(
      this.#screen(message, from, nowMs) ?? this.handshakes.take(message, Buffer.from(from), nowMs),
    )
  }

  /** The part of the gate: checks the macs of a message. */
  #screen(message: Buffer, from: string, nowMs: number): 'wrong mac1' | 'cookie' | undefined {
    const type = message.length < 4 ? 0 : message.readUInt32LE(0)
    const bytes = message.length
    if (
      !(type === MESSAGE.initiation && bytes === INITIATION.size) &&
      !(type === MESSAGE.response && bytes === RESPONSE.size)
    )
      return undefined
    const { macs, memory } = this.#macs
    memory.u8.fill(0, NAME_AT, NAME_AT + SOCKADDR_BYTES)
    memory.u8.set(Buffer.from(from), NAME_AT)
    memory.u8.set(message, MESSAGE_AT)
    if (!macs.isMac1Right(MESSAGE_AT, bytes)) return 'wrong mac1'
    if (type !== MESSAGE.initiation || !this.underLoad || macs.isMac2Right(MESSAGE_AT, bytes, NAME_AT, nowMs))
      return undefined
    macs.writeReply(MESSAGE_AT, NAME_AT, nowMs)
    this.#world.send(this.address, from, memory.u8.slice(macs.reply, macs.reply + COOKIE_REPLY.size))
    return 'cookie'
  }
}

/** Offsets in an end's memory of a message and of its source address. The scratch memory follows them. */
const MESSAGE_AT = 0
const NAME_AT = 512
const SCRATCH_AT = 1024

function makeMacs({ mac1Key, cookieKey }: OwnIdentity) {
  const memory = NativeMemory.allocate(SCRATCH_AT + 8192)
  const scratch = new Scratch(memory, SCRATCH_AT)
  return { memory, macs: makeMacCheck(findCrypto(), { mac1: mac1Key, cookie: cookieKey }, scratch) }
}

/** The clock, the wire and the randomness. */
export class World {
  nowMs = 0
  /** Every message that was ever sent. */
  readonly sent: Sent[] = []
  /** Whether a message arrives. */
  carries: (sent: Sent) => boolean = () => true
  readonly #ends = new Map<string, End>()
  #dice = Buffer.alloc(32)

  end(address: string, secret: number, protocol?: Protocol): End {
    const end = new End(this, address, secret, protocol)
    this.#ends.set(address, end)
    return end
  }

  random(bytes: number): Uint8Array {
    this.#dice = createHash('sha256').update(this.#dice).digest()
    return Uint8Array.from(this.#dice.subarray(0, bytes))
  }

  send(from: string, to: string, message: Uint8Array): void {
    const sent: Sent = { from, to, message: Buffer.from(message), atMs: this.nowMs }
    this.sent.push(sent)
    if (this.carries(sent)) this.#ends.get(to)?.receive(sent.message, from)
  }

  /** Lets time pass, in steps like those of main's timer. */
  pass(ms: number, stepMs = 100): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs = Math.min(endMs, this.nowMs + stepMs)
      for (const end of this.#ends.values()) end.handshakes.tick(this.nowMs)
    }
  }

  /** The messages of one type that were sent from `mark` on. */
  since(mark: number, type: number, from?: string): Sent[] {
    return this.sent
      .slice(mark)
      .filter((it) => it.message[0] === type && (from === undefined || it.from === from))
  }
}

/** Two ends that know each other. */
export function pair(options: Partial<PeerOptions> = {}) {
  const world = new World()
  const a = world.end('a:1', 0x61)
  const b = world.end('b:1', 0x62)
  const peers = { a: a.knows(b, options), b: b.knows(a) }
  return { world, a, b, peers }
}
