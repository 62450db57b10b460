import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { newPrivateKey } from '../../../src/crypto/primitives.js'
import { parseKey } from '../../../src/key-text.js'
import type { Host } from '../../../src/lab/host.js'
import { knowPeer, Protocol } from '../../../src/noise/handshake.js'
import { Handshakes, type Verdict } from '../../../src/noise/handshakes.js'
import { Identity, OwnIdentity } from '../../../src/noise/keys.js'
import { MESSAGE } from '../../../src/wire/wireguard.js'
import { HeldKeypairs } from '../noise-world.js'
import { FarEnd } from './far-end.js'
import { ok, type Pair, PROGRAM, type RunningTunnel, startTunnel, until } from './lab.js'
import type { KeyFolder, KeyPair } from './wireguard-go.js'

const LOOK_MS = 5

/** The far end of a private tunnel in tun mode. The test controls each of its messages. */
export class WireGuardEnd implements Disposable {
  /** Handshake messages that it has sent, and those that it has received. */
  readonly sent: Buffer[] = []
  readonly came: Buffer[] = []
  readonly verdicts: Verdict[] = []
  /** What the other end has sealed for it; a keepalive is empty. */
  readonly opened: Buffer[] = []
  /** Whether its own handshake messages are lost. */
  loses = false
  readonly #door: FarEnd
  readonly #to: string
  readonly #keypairs = new HeldKeypairs()
  readonly #handshakes: Handshakes
  readonly #timer: NodeJS.Timeout
  #taken = 0

  /**
   * @param host the host of its socket
   * @param to the underlay address of the other end
   */
  constructor(host: Host, to: string, own: KeyPair, theirPublicKey: string, port = 5149) {
    const identity = new OwnIdentity(keyOf(readFileSync(own.file, 'latin1')))
    this.#door = new FarEnd(host, port)
    this.#to = to
    this.#handshakes = new Handshakes({
      protocol: Protocol.wireguard,
      own: identity,
      keypairs: this.#keypairs,
      random: randomBytes,
      ephemeral: newPrivateKey,
      unixMs: () => Date.now(),
      send: (message) => {
        this.sent.push(Buffer.from(message))
        if (!this.loses) this.send(message)
      },
      sendKeepalive: () => this.keepalive(),
      endpointOf: () => Buffer.from(to),
      roamed: () => true,
    })
    const acquaintance = knowPeer(identity, new Identity(keyOf(theirPublicKey)))
    if (acquaintance === undefined) throw new Error('a key of small order')
    this.#handshakes.add({ row: 0, known: acquaintance }, performance.now())
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  get hasKeypair(): boolean {
    return this.#handshakes.peer(0)?.hasKeypair ?? false
  }

  /** Starts a handshake, unless it has started one within the last five seconds. */
  initiate(): void {
    this.#handshakes.peer(0)?.initiate(performance.now())
  }

  /** Transport data as a datagram; undefined while there is no key. */
  seal(packet: Uint8Array): Buffer | undefined {
    const padded = Buffer.alloc((packet.length + 15) & -16)
    padded.set(packet)
    return this.#keypairs.seal(0, padded)
  }

  /** Sends a packet through the tunnel, or an empty one. @param door another socket instead of its own */
  say(packet: Uint8Array, door = this.#door): void {
    const message = this.seal(packet)
    if (message === undefined) throw new Error('there is no key to seal it with')
    door.send(message, this.#to)
  }

  keepalive(door = this.#door): void {
    this.say(new Uint8Array(0), door)
  }

  /** Sends a datagram unchanged. */
  send(datagram: Uint8Array, door = this.#door): void {
    door.send(datagram, this.#to)
  }

  #look(): void {
    for (; this.#taken < this.#door.received.length; this.#taken++)
      this.#take(this.#door.received[this.#taken])
    this.#handshakes.tick(performance.now())
  }

  #take(message: Buffer): void {
    if (message.length >= 32 && message.readUInt32LE(0) === MESSAGE.transport) {
      const opened = this.#keypairs.open(message)
      if (opened === undefined) return
      this.opened.push(opened.plain)
      if (opened.first) this.#handshakes.peer(0)?.confirm(opened.index)
      return
    }
    this.came.push(message)
    this.verdicts.push(this.#handshakes.take(message, Buffer.from(this.#to), performance.now()))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#door[Symbol.dispose]()
  }
}

function keyOf(text: string): Buffer {
  const key = parseKey(text.trim())
  if (key === undefined) throw new Error('no key')
  return key
}

/** The port of both ends. */
export const PORT = 5149

export interface WithEnd {
  readonly near: RunningTunnel
  readonly far: WireGuardEnd
  /** The settings of the peer, and of another peer that does not exist, as lines of YAML. */
  readonly b: readonly string[]
  readonly c: readonly string[]
  /** Makes the near end read its file again, with these peers. */
  readonly reload: (...peers: (readonly string[])[]) => Promise<void>
}

/**
 * Starts a tunnel in tun mode. Its peer `b`, in the other host, is controlled by the test. The two have
 * exchanged data.
 * @param lines settings of the peer, as lines of YAML
 */
export async function startWithEnd(pair: Pair, keys: KeyFolder, ...lines: string[]): Promise<WithEnd> {
  const [ka, kb, kc] = [keys.make('a'), keys.make('b'), keys.make('c')]
  const own = ['local: [10.9.0.1]', 'mode: tun', `private_key_file: ${ka.file}`, 'peers:']
  const peer = (name: string, { publicKey }: KeyPair, address: string) => [
    `name: ${name}`,
    `public_key: ${publicKey}`,
    `addresses: [${address}]`,
  ]
  const b = peer('b', kb, '10.9.0.2')
  const configure = (...peers: (readonly string[])[]) => {
    const items = peers.flatMap((them) => them.map((line, index) => `${index === 0 ? '-' : ' '} ${line}`))
    return keys.write('a.yaml', [...own, ...items].join('\n'))
  }
  const near = await startTunnel(pair.a, '--config', configure([...b, ...lines]))
  const far = new WireGuardEnd(pair.b, pair.underlay.a, kb, ka.publicKey)
  far.initiate()
  await until('there are keys', () => far.hasKeypair)
  far.keepalive()
  await until('b is where it is', async () => (await endpointOf(near)) === `${pair.underlay.b}:${PORT}`)
  const reload = async (...peers: (readonly string[])[]) => {
    configure(...peers)
    await ok(pair.a, process.execPath, PROGRAM, 'reload')
  }
  return { near, far, b, c: peer('c', kc, '10.9.0.3'), reload }
}

/** The endpoint of the only peer of a tunnel in tun mode. */
export async function endpointOf(tunnel: RunningTunnel): Promise<string | null> {
  return (await tunnel.status('tun0')).peers[0].endpoint
}
