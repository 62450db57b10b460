import { randomBytes } from 'node:crypto'
import type { Crypto } from '../../src/crypto/ciphers.js'
import { findCrypto } from '../../src/crypto/find-crypto.js'
import { mac } from '../../src/crypto/primitives.js'
import { encapFor } from '../../src/encap/encap.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { C, COUNTERS } from '../../src/memory/counters.js'
import { Drops } from '../../src/memory/drops.js'
import { KeypairTable } from '../../src/memory/keypair-table.js'
import { Mailbox } from '../../src/memory/mailbox.js'
import { PathLimits } from '../../src/memory/path-limits.js'
import { PEER_STRIDE } from '../../src/memory/peer-counters.js'
import { PeerTable } from '../../src/memory/peer-table.js'
import { planMemory } from '../../src/memory/plan.js'
import { SEALING_SLOTS_BYTES } from '../../src/memory/slots.js'
import { StateWords } from '../../src/memory/state-words.js'
import { byteOperations } from '../../src/offload/bytes.js'
import { INITIATION, MESSAGE } from '../../src/wire/wireguard.js'
import { GATE_SCRATCH_BYTES, Gate } from '../../src/worker/inbound/gate.js'
import { Opener } from '../../src/worker/inbound/opener.js'
import { Keyring } from '../../src/worker/keyring.js'
import { Sealer } from '../../src/worker/outbound/sealer.js'
import { makeMacCheck } from '../../src/worker/private-parts.js'
import { Scratch } from '../../src/worker/scratch.js'
import type { Micro } from './micro.js'

/**
 * A worker's parts for a private tunnel. The one peer has the same keys, so the worker can open what it seals.
 */
class PrivateParts {
  readonly sealer: Sealer
  readonly opener: Opener
  readonly counters = new Float64Array(COUNTERS.length)
  readonly memory: NativeMemory
  readonly #table: KeypairTable
  readonly #received: number
  readonly #copy: (to: number, from: number, bytes: number) => void
  /** A sealed message. Its header contains its counter. */
  readonly #message: Uint8Array

  constructor(crypto: Crypto, frameBytes: number) {
    const plan = planMemory(1)
    const memory = NativeMemory.allocate(plan.bytes + 8192)
    this.memory = memory
    this.#received = (plan.bytes + 63) & -64
    const bytes = byteOperations(memory)
    const { copy } = bytes
    this.#copy = copy
    const { slots: places, keys, scratch } = plan.udp
    const aead = crypto.aead({ memory, at: places, bytes: SEALING_SLOTS_BYTES, scratch, keys, copy })
    const table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const peers = new PeerTable(memory, plan.peers, plan.peerRows)
    const limits = new PathLimits(memory, plan.pathLimits)
    const tellMain = () => {}
    const encap = encapFor('tap', true)
    const keyring = new Keyring({
      memory,
      table,
      aead,
      peers,
      encap,
      clockMs: new Float64Array(1),
      tellMain,
    })
    this.sealer = new Sealer({
      memory,
      keyring,
      limits,
      bytes,
      slots: places,
      words: new StateWords(memory, plan.state),
      encap,
    })
    const key = randomBytes(32)
    const room = new Scratch(memory, plan.tap.scratch)
    const { counters } = this
    const peerCounters = new Float64Array(PEER_STRIDE)
    const drops = new Drops(counters, peerCounters)
    const gate = new Gate({
      memory,
      table,
      peers,
      neighbours: { isResolved: () => false },
      macs: makeMacCheck(crypto, { mac1: key, cookie: key }, room),
      handshakes: new Mailbox(memory, plan.handshakes, plan.state),
      tellMain,
      outlet: { send: () => false, usedBytes: () => 0 },
      nowMs: () => 0,
      scratch: room.take(GATE_SCRATCH_BYTES),
      drops,
    })
    this.opener = new Opener({ memory, keyring, gate, counters, peerCounters, drops })
    new StateWords(memory, plan.state).paddingLimitBytes = 1440
    const both = randomBytes(32)
    table.reserve(0, 4, 0)
    table.establish(0, 4, both, both, Number.POSITIVE_INFINITY)
    table.sealWith(0, 0)
    this.#table = table
    const sealed = this.sealer.seal(0, frameBytes)
    this.#message = memory.u8.slice(this.sealer.message, this.sealer.message + sealed)
    const handshake = memory.u8.subarray(this.#received + 4096, this.#received + 4096 + 148)
    handshake[0] = MESSAGE.initiation
    handshake.set(mac(key, handshake.subarray(0, 116)), 116)
    handshake[116] ^= 1
  }

  /** Has the opener check an initiation with a wrong mac1. */
  refuse(): void {
    const at = this.#received + 4096
    this.memory.view.setUint32(at, MESSAGE.initiation, true)
    this.opener.open(at, INITIATION.size, INITIATION.size, 0)
    if (this.counters[C.dropWrongMac1] === 0) throw new Error('it was not refused')
  }

  /** Opens the message again. The window is cleared first, so the number counts as new. */
  open(): void {
    const { u32, u8 } = this.memory
    u8.set(this.#message, this.#received)
    u32.fill(0, this.#table.window(0) >>> 2, (this.#table.window(0) >>> 2) + 32)
    this.opener.open(this.#received, this.#message.length, this.#message.length, 0)
    if (this.counters[C.receivedFrames] === 0) throw new Error('it does not open')
  }

  copy(bytes: number): void {
    this.#copy(this.sealer.frame, this.#received, bytes)
  }
}

const WAYS: readonly [string, Crypto][] = [
  ["OpenSSL's primitives by koffi", findCrypto()],
  ["OpenSSL's EVP by koffi", findCrypto(undefined, false)],
  ['node:crypto', findCrypto([])],
]

export const privates: Micro[] = WAYS.flatMap(([name, crypto]) =>
  [64, 1400].flatMap((bytes): Micro[] => {
    const parts = new PrivateParts(crypto, bytes)
    const refusal: Micro = {
      group: `a private tunnel, ${name}`,
      name: 'refuse a handshake whose mac1 is wrong',
      run(times) {
        for (let index = 0; index < times; index++) parts.refuse()
      },
    }
    return [
      ...(bytes === 64 ? [refusal] : []),
      {
        group: `a private tunnel, ${name}`,
        name: `copy and seal ${bytes.toLocaleString('en')} bytes`,
        bytes,
        run(times) {
          for (let index = 0; index < times; index++) {
            if (index % 45 === 0) parts.sealer.expect(45)
            parts.copy(bytes)
            parts.sealer.seal(0, bytes)
          }
        },
      },
      {
        group: `a private tunnel, ${name}`,
        name: `open ${bytes.toLocaleString('en')} bytes, and check that they are new`,
        bytes,
        run(times) {
          for (let index = 0; index < times; index++) parts.open()
        },
      },
    ]
  }),
)
