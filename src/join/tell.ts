import { randomBytes } from 'node:crypto'
import type { Remote } from '../config/addresses.js'
import { makePrivateKey } from '../crypto/primitives.js'
import { encapFor } from '../encap/encap.js'
import { UserError } from '../errors.js'
import { type Answer, type JoinKeys, readJoined, writeJoin } from '../invitation/answer.js'
import type { Invitation } from '../invitation/invitation.js'
import { knowPeer, Protocol } from '../noise/handshake.js'
import { Handshakes } from '../noise/handshakes.js'
import { Identity, OwnIdentity } from '../noise/keys.js'
import { TIMES } from '../noise/times.js'
import { readControl, writeControl } from '../wire/control.js'
import { MESSAGE } from '../wire/wireguard.js'
import { FewKeypairs } from './keypairs.js'
import { endpointAt, type Place, placesOf, Sockets, textOf } from './places.js'

/** How often it is looked whether something is to be sent again, and how often it is. */
const TICK_MS = 100
const AGAIN_MS = 1_000

/** After so many words without an answer, the introducer may have started again, and have lost the keys. */
const PATIENCE = 3

/** Long enough for a handshake that is lost twice. */
export const WITHIN_MS = 15_000

/** What the introducer says, and where it is found. */
export interface Told {
  readonly answer: Answer
  /** With a name, if one of the line led there. */
  readonly endpoint: Remote
}

/**
 * A newcomer comes to the introducer with the key of its line: a handshake of WireGuard, and inside of it, it tells its
 * own public keys.
 * @throws UserError if there is no answer
 */
export async function tellIntroducer(
  invitation: Invitation,
  keys: JoinKeys,
  withinMs = WITHIN_MS,
): Promise<Told> {
  const { places, unknown } = await placesOf(invitation.endpoints)
  if (places.length === 0)
    throw new UserError(
      `none of the introducer's names is found: ${unknown.join(', ')}; look at the name servers here`,
    )
  const newcomer = new Newcomer(invitation, keys, places)
  try {
    const told = await newcomer.told(withinMs)
    if (told !== undefined) return told
    throw new UserError(newcomer.silence(unknown))
  } finally {
    newcomer.close()
  }
}

class Newcomer {
  readonly #invitation: Invitation
  readonly #keys: JoinKeys
  readonly #places: readonly Place[]
  readonly #keypairs = new FewKeypairs(randomBytes(4).readUInt32BE())
  readonly #handshakes: Handshakes
  readonly #sockets: Sockets
  /** Where the introducer has answered. */
  #place: Uint8Array | undefined
  #toldMs = Number.NEGATIVE_INFINITY
  #unanswered = 0
  #soughtMs = Number.NEGATIVE_INFINITY
  #resolve: (told: Told | undefined) => void = () => {}

  constructor(invitation: Invitation, keys: JoinKeys, places: readonly Place[]) {
    this.#invitation = invitation
    this.#keys = keys
    this.#places = places
    this.#sockets = new Sockets((message, source) => this.#take(message, source))
    const own = new OwnIdentity(invitation.privateKey)
    const known = knowPeer(own, new Identity(invitation.publicKey), invitation.presharedKey)
    if (known === undefined)
      throw new UserError('this invitation has a key that no host can have; ask for another one')
    this.#handshakes = new Handshakes({
      protocol: invitation.mode === 'tap' ? Protocol.ethernet : Protocol.wireguard,
      own,
      keypairs: this.#keypairs,
      random: randomBytes,
      ephemeral: makePrivateKey,
      unixMs: () => Date.now(),
      send: (message, to) => this.#sockets.send(message, to),
      sendKeepalive: () => this.#send(new Uint8Array(0)),
      endpointOf: () => this.#place,
      roamed: (_, source) => {
        this.#place = source
        return true
      },
      times: { ...TIMES, rekeyTimeoutMs: AGAIN_MS },
    })
    this.#handshakes.add({ row: 0, known }, now())
  }

  /** Undefined if it says nothing. */
  async told(withinMs: number): Promise<Told | undefined> {
    const ticker = setInterval(() => this.#tick(), TICK_MS)
    const end = setTimeout(() => this.#resolve(undefined), withinMs)
    try {
      return await new Promise<Told | undefined>((resolve) => {
        this.#resolve = resolve
        this.#tick()
      })
    } finally {
      clearInterval(ticker)
      clearTimeout(end)
    }
  }

  /** A sentence about who says nothing. */
  silence(unknown: readonly string[]): string {
    const { introducer, untilS } = this.#invitation
    const where = [...this.#places.map(({ bytes }) => textOf(bytes)), ...unknown].join(', ')
    if (this.#place !== undefined)
      return `${introducer} knows this line, and does not say whether this host may join; look at its log, and try again`
    const { trouble } = this.#sockets
    const why = trouble === undefined ? '' : ` (${trouble})`
    if (Date.now() >= untilS * 1000)
      return `this line has expired at ${timeOf(untilS)}, and ${introducer} does not answer to it any more; ask there for another one`
    return `${introducer} does not answer at ${where}${why}; either nothing passes on the way, such as through a firewall, or the line is unknown there; try again, or ask for another one`
  }

  close(): void {
    const peer = this.#handshakes.peer(0)
    if (peer !== undefined) this.#handshakes.remove(peer)
    this.#sockets.close()
  }

  #tick(): void {
    const nowMs = now()
    const peer = this.#handshakes.peer(0)
    this.#handshakes.tick(nowMs)
    if (!this.#keypairs.canSeal || this.#unanswered >= PATIENCE) {
      if (nowMs - this.#soughtMs < AGAIN_MS) return
      this.#soughtMs = nowMs
      this.#unanswered = 0
      peer?.seek(
        this.#places.map(({ bytes }) => bytes),
        nowMs,
      )
    } else if (nowMs - this.#toldMs >= AGAIN_MS) this.#tell(nowMs)
  }

  #tell(nowMs: number): void {
    this.#toldMs = nowMs
    this.#unanswered++
    const { mode } = this.#invitation
    const content = writeJoin(this.#keys)
    const token = randomBytes(8).readBigUInt64BE()
    const frame = writeControl(mode, { type: 'join', token, sizeBytes: content.length, content })
    const room = Buffer.alloc(frame.length + 32)
    room.set(frame)
    this.#send(room.subarray(0, encapFor(mode, true).pad(room, 0, frame.length, room.length)))
  }

  #send(plain: Uint8Array): void {
    const message = this.#keypairs.seal(plain)
    if (message !== undefined && this.#place !== undefined) this.#sockets.send(message, this.#place)
  }

  #take(message: Buffer, source: Buffer): void {
    if (message.length < 4) return
    if (message.readUInt32LE(0) !== MESSAGE.transport) {
      this.#handshakes.take(message, source, now())
      // At once, and not at the next tick.
      if (this.#keypairs.canSeal) this.#tick()
      return
    }
    const plain = this.#keypairs.open(message)
    if (plain === undefined || plain.length === 0 || this.#place === undefined) return
    const { mode } = this.#invitation
    const view = new DataView(plain.buffer, plain.byteOffset, plain.length)
    const bytes = encapFor(mode, true).unpad(view, 0, plain.length)
    const frame = bytes < 0 ? undefined : readControl(mode, plain.subarray(0, bytes), bytes)
    if (frame?.type !== 'joined' || frame.content === undefined) return
    const answer = readJoined(frame.content)
    if (answer !== undefined) this.#resolve({ answer, endpoint: endpointAt(this.#place, this.#places) })
  }
}

const now = () => performance.now()

export function timeOf(untilS: number): string {
  return new Date(untilS * 1000).toISOString()
}
