import { randomBytes } from 'node:crypto'
import { CRYPTO_SCRATCH_BYTES, type Crypto } from '../../src/crypto/ciphers.js'
import { findCrypto } from '../../src/crypto/find-crypto.js'
import { encapFor } from '../../src/encap/encap.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { COUNTERS } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { KeypairTable } from '../../src/memory/keypair-table.js'
import { NAME_BYTES } from '../../src/memory/name.js'
import { PEER_STRIDE } from '../../src/memory/peer-counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { planMemory } from '../../src/memory/plan.js'
import { PART, RelayTable } from '../../src/memory/relay-table.js'
import { HOP_SLOTS_BYTES, SEALING_SLOTS_BYTES } from '../../src/memory/slots.js'
import { StateWords } from '../../src/memory/state-words.js'
import { relayNameOf } from '../../src/noise/relay-name.js'
import { byteOperations } from '../../src/offload/bytes.js'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { MESSAGE } from '../../src/wire/wireguard.js'
import { PassingOn } from '../../src/worker/inbound/passing-on.js'
import { Relayed } from '../../src/worker/inbound/relayed.js'
import { Keyring } from '../../src/worker/keyring.js'
import { RelayHeaders } from '../../src/worker/relay-headers.js'
import { Scratch } from '../../src/worker/scratch.js'
import type { Micro } from './micro.js'

const MESSAGE_BYTES = 1_400

/** An introducer between two members whose keys are the same in both directions. What it passes on is not sent. */
class Introducer {
  readonly #headers: RelayHeaders
  readonly #relayed: Relayed
  readonly #memory: NativeMemory
  readonly #window: number
  readonly #header: number
  readonly #received: number
  readonly #from: number
  readonly #message: Uint8Array
  #passed = 0

  constructor(crypto: Crypto) {
    const plan = planMemory(2)
    const memory = NativeMemory.allocate(plan.bytes + 8192)
    const scratch = new Scratch(memory, plan.udp.scratch)
    const { copy } = byteOperations(memory)
    const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const peers = new PeerTable(memory, plan.peers, plan.peerRows)
    const relays = new RelayTable(memory, plan.relays, plan.peerRows)
    const words = new StateWords(memory, plan.state)
    const clockMs = new Float64Array(1)
    const keyringAt = (at: number, bytes: number, keys: number) => {
      const aead = crypto.aead({ memory, at, bytes, scratch: scratch.take(CRYPTO_SCRATCH_BYTES), keys, copy })
      return new Keyring({ memory, table, aead, peers, encap: encapFor('tun', true), clockMs, tellMain() {} })
    }
    const { slots, keys, hopSlots, hopKeys } = plan.udp
    const hopKeyring = keyringAt(hopSlots, HOP_SLOTS_BYTES, hopKeys)
    this.#headers = new RelayHeaders({ memory, keyring: hopKeyring, table: relays, slot: hopSlots })
    const counters = new Float64Array(COUNTERS.length)
    const peerCounters = new Float64Array(2 * PEER_STRIDE)
    const drops = new Drops(counters, peerCounters)
    this.#header = scratch.take(64)
    this.#from = scratch.take(64)
    const outlet = { header: () => this.#header, add: () => void this.#passed++, flush() {} }
    const headers = this.#headers
    const nowMs = () => performance.now()
    const passingOn = new PassingOn({ table: relays, peers, words, headers, outlet, counters, drops, nowMs })
    const keyring = keyringAt(slots, SEALING_SLOTS_BYTES, keys)
    const name = scratch.take(NAME_BYTES)
    this.#relayed = new Relayed({ memory, keyring, table: relays, drops, peerCounters, passingOn, name })
    for (const row of [0, 1]) {
      const key = randomBytes(32)
      table.reserve(row, 8 + row, row)
      table.establish(row, 8 + row, key, key, Number.POSITIVE_INFINITY)
      table.sealWith(row, row)
      peers.setAddress(row, randomBytes(28))
      relays.set(row, relayNameOf(randomBytes(32)), PART.member)
    }
    words.relayLimit = 2 ** 30
    this.#memory = memory
    this.#window = table.window(0)
    this.#received = (plan.bytes + 63) & -64
    headers.toIntroducer(0, 1, this.#header)
    this.#message = new Uint8Array(RELAY_HEADER_BYTES + MESSAGE_BYTES)
    this.#message.set(memory.u8.slice(this.#header, this.#header + RELAY_HEADER_BYTES))
    this.#message[RELAY_HEADER_BYTES] = MESSAGE.transport
  }

  write(): void {
    if (!this.#headers.toMember(1, 0, this.#header)) throw new Error('there is no key')
  }

  /** Takes the message again. The window is cleared first, so the number counts as new. */
  pass(): void {
    const { u8, u32 } = this.#memory
    u8.set(this.#message, this.#received)
    u32.fill(0, this.#window >>> 2, (this.#window >>> 2) + 32)
    this.#relayed.take(this.#received, this.#message.length, this.#from)
    this.#relayed.flush()
    if (this.#passed === 0) throw new Error('it was not passed on')
  }
}

const introducer = new Introducer(findCrypto())

export const relays: Micro[] = [
  {
    group: 'the relay',
    name: 'write a header',
    run(times) {
      for (let index = 0; index < times; index++) introducer.write()
    },
  },
  {
    group: 'the relay',
    name: 'open a header, look whom it names, and write the next one',
    run(times) {
      for (let index = 0; index < times; index++) introducer.pass()
    },
  },
]
