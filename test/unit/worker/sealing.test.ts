import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { CRYPTO_SCRATCH_BYTES } from '../../../src/crypto/ciphers.js'
import { findCrypto } from '../../../src/crypto/find-crypto.js'
import { mac } from '../../../src/crypto/primitives.js'
import { encapFor } from '../../../src/encap/encap.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { C, COUNTERS, type CounterName } from '../../../src/memory/counters.js'
import { CryptoBatch } from '../../../src/memory/crypto-batch.js'
import { CryptoBell } from '../../../src/memory/crypto-bell.js'
import { Drops } from '../../../src/memory/drops.js'
import { KeypairTable } from '../../../src/memory/keypair-table.js'
import { Mailbox } from '../../../src/memory/mailbox.js'
import { NAME, NAME_BYTES } from '../../../src/memory/name.js'
import { PathLimits } from '../../../src/memory/path-limits.js'
import { P, PEER_STRIDE } from '../../../src/memory/peer-counters.js'
import { PeerTable } from '../../../src/memory/peer-table.js'
import { type MemoryPlan, planMemory, StateWord } from '../../../src/memory/plan.js'
import { SEALING_SLOTS_BYTES } from '../../../src/memory/slots.js'
import { StateWords } from '../../../src/memory/state-words.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import { INITIATION, MESSAGE, TRANSPORT_HEADER_BYTES } from '../../../src/wire/wireguard.js'
import { CryptoHand } from '../../../src/worker/crypto/crypto-hand.js'
import { Spread } from '../../../src/worker/crypto/spread.js'
import { GATE_SCRATCH_BYTES, Gate } from '../../../src/worker/inbound/gate.js'
import { Opener } from '../../../src/worker/inbound/opener.js'
import { Keyring } from '../../../src/worker/keyring.js'
import { Sealer } from '../../../src/worker/outbound/sealer.js'
import { makeMacCheck } from '../../../src/worker/private-parts.js'
import { Scratch } from '../../../src/worker/scratch.js'
import { startCryptoThreads } from '../../support/crypto-threads.js'

const ROWS = 2

/** One thread's side of a private tunnel, whose keys are its own: what it seals for a peer is from that peer. */
class Side {
  readonly memory: NativeMemory
  readonly plan: MemoryPlan
  readonly table: KeypairTable
  readonly peers: PeerTable
  readonly keyring: Keyring
  readonly sealer: Sealer
  readonly opener: Opener
  readonly queue: Mailbox
  readonly counters = new Float64Array(COUNTERS.length)
  readonly peerCounters = new Float64Array(ROWS * PEER_STRIDE)
  readonly mac1Key = randomBytes(32)
  /** Offsets of room for messages, and of the name of whoever they are from. */
  readonly at: number
  readonly name: number
  told = 0
  /** The clock that keys age by. */
  readonly clockMs = new Float64Array([1_000])

  /** @param cryptoWorkers with some, messages are sealed and opened in batches */
  constructor(tap: boolean, cryptoWorkers = 0) {
    const plan = planMemory(ROWS, cryptoWorkers)
    const memory = NativeMemory.allocate(plan.bytes + 200_000)
    const scratch = new Scratch(memory, plan.udp.scratch)
    const bytes = byteOperations(memory)
    const crypto = findCrypto()
    const { slots: places, keys } = plan.udp
    const room = () => scratch.take(CRYPTO_SCRATCH_BYTES)
    const aead = crypto.aead({
      memory,
      at: places,
      bytes: SEALING_SLOTS_BYTES,
      scratch: room(),
      keys,
      copy: bytes.copy,
    })
    const tellMain = () => {
      this.told++
    }
    this.memory = memory
    this.plan = plan
    this.at = (plan.bytes + 63) & -64
    this.name = scratch.take(64)
    this.peers = new PeerTable(memory, plan.peers, plan.peerRows)
    this.table = new KeypairTable(memory, plan.keypairs, plan.keypairRows, plan.peerRows)
    const encap = encapFor(tap ? 'tap' : 'tun', true)
    this.keyring = new Keyring({
      memory,
      table: this.table,
      aead,
      peers: this.peers,
      encap,
      clockMs: this.clockMs,
      tellMain,
    })
    const limits = new PathLimits(memory, plan.pathLimits)
    const words = new StateWords(memory, plan.state)
    const bell = new CryptoBell(memory, plan.cryptoBell)
    const spread = (at: number, seals: boolean) => {
      if (cryptoWorkers === 0) return undefined
      const batch = new CryptoBatch(memory, at)
      const hand = new CryptoHand(memory, batch, aead, seals)
      return new Spread({ batch, hand, bell, words, counters: this.counters })
    }
    this.sealer = new Sealer({
      memory,
      keyring: this.keyring,
      limits,
      bytes,
      slots: places,
      words,
      encap,
      spread: spread(plan.udp.sealingBatch, true),
    })
    this.queue = new Mailbox(memory, plan.handshakes, plan.state + StateWord.handshakesTold * 4)
    words.paddingLimitBytes = 1440
    const { counters, peerCounters, table, peers } = this
    const drops = new Drops(counters, peerCounters)
    const gate = new Gate({
      memory,
      table,
      peers,
      neighbours: { isResolved: () => false },
      macs: makeMacCheck(crypto, { mac1: this.mac1Key, cookie: randomBytes(32) }, scratch),
      handshakes: this.queue,
      tellMain,
      outlet: { send: () => false, usedBytes: () => 0 },
      nowMs: () => 0,
      scratch: scratch.take(GATE_SCRATCH_BYTES),
      drops,
    })
    this.opener = new Opener({
      memory,
      keyring: this.keyring,
      gate,
      counters,
      peerCounters,
      drops,
      spread: spread(plan.udp.openingBatch, false),
    })
  }

  /** Gives a peer keys in a keypair's row; that one's index is also what it is sent to. */
  key(row: number, keyRow: number, overMs = Number.POSITIVE_INFINITY): void {
    const key = randomBytes(32)
    const index = 0x7700_0000 + keyRow
    this.table.reserve(keyRow, index, row)
    this.table.establish(keyRow, index, key, key, overMs)
    this.table.sealWith(row, keyRow)
  }

  /** Undefined where there is nothing to seal with. */
  seal(row: number, frame: Uint8Array): Buffer | undefined {
    return this.sealAll(row, [frame])[0]
  }

  /** Seals frames as one batch. Those that there is nothing to seal with are left out. */
  sealAll(row: number, frames: readonly Uint8Array[]): Buffer[] {
    const { memory, sealer } = this
    const places = frames.flatMap((frame) => {
      memory.u8.set(frame, sealer.frame)
      const bytes = sealer.seal(row, frame.length)
      const { message } = sealer
      if (bytes === 0) return []
      sealer.keep(bytes)
      return [[message, message + bytes]]
    })
    sealer.finish()
    sealer.clear()
    return places.map(([from, to]) => Buffer.from(memory.u8.slice(from, to)))
  }

  /** What the device would get of a run of messages, each `step` bytes but the last. */
  open(run: Uint8Array, step = run.length): { row: number; frame: Buffer }[] {
    const { u8, view } = this.memory
    u8.set(run, this.at + 2)
    const frames: { row: number; frame: Buffer }[] = []
    const any = this.opener.open(this.at + 2, run.length, step, this.name)
    for (let done = 0; run.length - done >= TRANSPORT_HEADER_BYTES; done += step) {
      const bytes = view.getUint32(this.at + 2 + done, true)
      if (bytes === 0) continue
      const at = this.at + 2 + done + TRANSPORT_HEADER_BYTES
      frames.push({
        row: view.getUint32(this.at + 6 + done, true),
        frame: Buffer.from(u8.slice(at, at + bytes)),
      })
    }
    if (any !== frames.length > 0) throw new Error('it does not know whether there is anything')
    return frames
  }

  count(name: CounterName): number {
    return this.counters[C[name]]
  }
}

const frames = fc.uint8Array({ minLength: 14, maxLength: 1500 })

/** One message after the other, and in batches as with crypto workers. */
const WAYS = [
  ['one by one', 0],
  ['in batches', 1],
] as const

t.test('crypto workers and the owner seal and open what is in batches, and in its order', async (t) => {
  const side = new Side(true, 3)
  side.key(0, 3)
  side.key(1, 5)
  await startCryptoThreads(t, side.memory, side.plan)
  let wrong = 0
  for (let round = 0; round < 600; round++) {
    const row = round % 2
    // Lengths that are no multiple of 16 show that no thread writes where another one works.
    const batch = Array.from({ length: 8 + (round % 60) }, (_, i) => randomBytes(1_300 + ((round + i) % 16)))
    const messages = side.sealAll(row, batch)
    const numbers = messages.map((message) => message.readUInt32LE(8))
    if (numbers.some((number, i) => i > 0 && number !== numbers[i - 1] + 1)) wrong++
    const longest = Math.max(...messages.map(({ length }) => length))
    const alike = messages.filter(({ length }) => length === longest)
    const kept = batch.filter((_, i) => messages[i].length === longest)
    const spoilt = round % alike.length
    alike[spoilt][40] ^= 1
    const opened = side.open(Buffer.concat(alike), longest)
    const right = kept.filter((_, i) => i !== spoilt)
    if (opened.length !== right.length || opened.some(({ frame }, i) => !frame.equals(right[i]))) wrong++
    if (opened.some((it) => it.row !== row)) wrong++
    if (side.open(Buffer.concat([...alike, ...alike]), longest).length > 0) wrong++
  }
  t.equal(wrong, 0)
  t.ok(side.count('spreadMessages') > 1_000, `${side.count('spreadMessages')} were spread`)
})

t.test('of a message that is twice in a run, one is taken', async (t) => {
  const side = new Side(true, 1)
  side.key(0, 0)
  const [message] = side.sealAll(0, [Buffer.alloc(100, 1)])
  const run = Buffer.concat(Array.from({ length: 10 }, () => message))
  t.equal(side.open(run, message.length).length, 1)
  t.equal(side.count('dropReplayed'), 9)
})

for (const [how, cryptoWorkers] of WAYS) {
  t.test(`what is sealed opens once, from whom it is, ${how}`, async () => {
    const side = new Side(true, cryptoWorkers)
    side.key(0, 3)
    side.key(1, 5)
    const property = fc.property(fc.nat(1), frames, (row, frame) => {
      const message = side.seal(row, frame)
      if (message === undefined) return false
      const [first] = side.open(message)
      return first.row === row && first.frame.equals(frame) && side.open(message).length === 0
    })
    fc.assert(property, { numRuns: 500 })
  })
}

for (const [how, cryptoWorkers] of WAYS) {
  t.test(`a run is taken apart, whatever is in it, ${how}`, async (t) => {
    const side = new Side(true, cryptoWorkers)
    side.key(0, 0)
    const property = fc.property(
      fc.array(fc.nat(4), { minLength: 1, maxLength: 40 }),
      fc.nat(60),
      (kinds, tail) => {
        const expected: Buffer[] = []
        const messages = kinds.map((kind, index) => {
          const frame = Buffer.alloc(100, index + 1)
          const message = side.seal(0, frame) as Buffer
          if (kind === 0) message[50] ^= 1
          else if (kind === 1) message[0] = 9
          else if (kind === 2) message[7] ^= 0x40
          else expected.push(frame)
          return message
        })
        const run = Buffer.concat([...messages, randomBytes(tail)])
        return (
          JSON.stringify(side.open(run, messages[0].length).map(({ frame }) => frame)) ===
          JSON.stringify(expected)
        )
      },
    )
    fc.assert(property, { numRuns: 200 })
    t.ok(side.count('dropNotAuthentic') > 0)
    t.ok(side.count('dropNotPrivate') > 0)
    t.ok(side.count('dropUnknownIndex') > 0)
  })
}

t.test('any bytes, cut any way, open to nothing and break nothing', async () => {
  for (const [tap, cryptoWorkers] of [
    [true, 0],
    [false, 0],
    [false, 1],
  ] as const) {
    const side = new Side(tap, cryptoWorkers)
    side.key(0, 0)
    const run = fc.uint8Array({ maxLength: 3000 })
    const property = fc.property(
      run,
      fc.integer({ min: 1, max: 3000 }),
      fc.nat(5),
      fc.boolean(),
      (bytes, step, type, aimed) => {
        if (bytes.length >= 8) bytes.set([type, 0, 0, 0])
        if (aimed && bytes.length >= 8) bytes.set([0, 0, 0, 0x77], 4)
        return bytes.length === 0 || side.open(bytes, Math.min(step, bytes.length)).length === 0
      },
    )
    fc.assert(property, { numRuns: 2_000 })
  }
})

t.test(
  'a packet that says it is longer than it is, or a frame with more padding than bytes, is none',
  async (t) => {
    const tun = new Side(false)
    tun.key(0, 0)
    const packet = Buffer.alloc(60)
    packet.set([0x45, 0, 0, 60])
    t.equal(tun.open(tun.seal(0, packet) ?? Buffer.alloc(0))[0].frame.length, 60)
    packet.set([0x45, 0, 0x10, 0])
    t.same(tun.open(tun.seal(0, packet) ?? Buffer.alloc(0)), [])
    packet.set([0x75, 0, 0, 60])
    t.same(tun.open(tun.seal(0, packet) ?? Buffer.alloc(0)), [])
    t.equal(tun.count('dropNotPrivate'), 2)
  },
)

t.test('a keepalive is counted, and gives the device nothing', async (t) => {
  const side = new Side(false)
  side.key(1, 2)
  t.same(side.open(side.seal(1, new Uint8Array(0)) ?? Buffer.alloc(0)), [])
  t.equal(side.peerCounters[PEER_STRIDE + P.receivedKeepalives], 1)
})

t.test(
  "without keys, with keys that are gone, or another peer's, nothing is sealed, and main is told",
  async (t) => {
    const side = new Side(true)
    t.equal(side.seal(0, Buffer.alloc(60)), undefined)
    t.equal(side.told, 1)
    t.ok(side.table.takeWant(0))
    side.key(0, 0)
    const message = side.seal(0, Buffer.alloc(60)) as Buffer
    side.table.release(0)
    side.sealer.expect(1)
    t.equal(side.seal(0, Buffer.alloc(60)), undefined, 'wiped')
    t.same(side.open(message), [], 'nor opened')
    side.key(1, 0)
    side.sealer.expect(1)
    t.equal(side.seal(0, Buffer.alloc(60)), undefined, "the row is another peer's by now")
    t.not(side.seal(1, Buffer.alloc(60)), undefined)
  },
)

t.test('numbers that were taken for a super-frame and not used are left out', async (t) => {
  const side = new Side(true)
  side.key(0, 0)
  const numbers = (count: number, expected: number) => {
    side.sealer.expect(expected)
    return Array.from({ length: count }, () => side.seal(0, Buffer.alloc(60))?.readUInt32LE(8))
  }
  t.same(numbers(3, 5), [0, 1, 2])
  t.same(numbers(7, 5), [5, 6, 7, 8, 9, 10, 11])
  t.same(numbers(1, 1), [15])
})

t.test(
  "numbers in hand are of the keys that they were taken for, and no peer's who comes later",
  async (t) => {
    const side = new Side(true)
    side.key(0, 0)
    side.sealer.expect(5)
    const receiver = () => side.seal(0, Buffer.alloc(60))?.readUInt32LE(4)
    t.equal(receiver(), 0x7700_0000)
    side.table.sealWith(0, -1)
    side.table.release(0)
    side.keyring.sweep()
    t.equal(receiver(), undefined, 'its peer has gone')
    side.key(0, 1)
    t.equal(receiver(), 0x7700_0001)
  },
)

t.test(
  'what is opened while its keys are wiped is from whom it is, whoever has their row then',
  async (t) => {
    const side = new Side(true)
    side.key(0, 0)
    const { table } = side
    const generation = table.generation.bind(table)
    // The row is another peer's right after it was looked at for the last time.
    const handOverAfter = (looks: number) => {
      table.generation = (keyRow) => {
        const now = generation(keyRow)
        if (--looks === 0) {
          table.release(0)
          side.key(1, 0)
        }
        return now
      }
    }
    const message = side.seal(0, Buffer.alloc(60)) as Buffer
    // Twice while the keys are made ready, and once when they have been used.
    handOverAfter(3)
    const [opened] = side.open(message)
    table.generation = generation
    t.equal(opened.row, 0)
    t.equal(table.row(0), 1)
    t.notOk(table.isConfirmed(0), "nor has anything been opened with the other one's keys")
  },
)

t.test(
  'main hears that keys are in use, and that a peer has moved, by what is authentic alone',
  async (t) => {
    const side = new Side(true)
    side.key(0, 0)
    side.memory.u8.fill(7, side.name, side.name + 28)
    const forged = side.seal(0, Buffer.alloc(60)) as Buffer
    forged[40] ^= 1
    side.open(forged)
    t.notOk(side.table.isConfirmed(0))
    t.equal(side.table.takeMove(0), undefined)
    side.open(side.seal(0, Buffer.alloc(60)) as Buffer)
    t.ok(side.table.isConfirmed(0))
    t.same(side.table.takeMove(0), new Uint8Array(28).fill(7))
    t.equal(side.table.takeMove(0), undefined)
  },
)

t.test(
  'handshake messages come to main with where they are from; those without the right mac1 do not',
  async (t) => {
    const side = new Side(true)
    side.memory.u8.fill(9, side.name, side.name + NAME.via)
    const message = randomBytes(INITIATION.size)
    message.writeUInt32LE(MESSAGE.initiation)
    t.same(side.open(message), [])
    t.equal(side.count('dropWrongMac1'), 1)
    message.set(mac(side.mac1Key, message.subarray(0, INITIATION.mac1)), INITIATION.mac1)
    t.same(side.open(message), [])
    const heard: Buffer[] = []
    side.queue.take(10, (_peer, head) => heard.push(Buffer.from(head)))
    t.same(heard, [Buffer.concat([message, Buffer.alloc(NAME.via, 9), Buffer.alloc(NAME_BYTES - NAME.via)])])
    t.same(side.open(message.subarray(0, -1)), [])
    t.equal(side.count('dropNotPrivate'), 1)
  },
)

t.test('keys that are over seal and open nothing, main or no main: a suspend counts', async (t) => {
  const side = new Side(true)
  const look = (nowMs: number) => {
    side.clockMs[0] = nowMs
    side.keyring.look()
  }
  side.key(0, 0, 180_000)
  side.key(1, 1, 400_000)
  const frame = Buffer.alloc(60, 7)
  side.sealer.expect(64)
  const old = side.seal(0, frame) as Buffer
  const unopened = side.seal(0, frame) as Buffer
  t.equal(side.open(old).length, 1)
  look(179_999)
  t.not(side.seal(0, frame), undefined, 'to the last')
  const { told } = side

  look(181_000)
  t.equal(side.seal(0, frame), undefined, 'not even with numbers that were taken before')
  t.ok(side.table.takeWant(0), 'main is to make others')
  t.equal(side.told, told + 1)
  t.same(side.open(unopened), [])
  t.equal(side.count('dropUnknownIndex'), 1)
  side.sealer.expect(1)
  t.equal(side.seal(0, frame), undefined, 'nor are they made ready anew')
  t.same(side.open(unopened), [])
  const other = side.seal(1, frame) as Buffer
  t.equal(side.open(other).length, 1, "another peer's are not over")

  side.table.release(0)
  side.key(0, 0, 361_000)
  side.sealer.expect(1)
  const fresh = side.seal(0, frame) as Buffer
  t.equal(side.open(fresh).length, 1, 'new ones')
  look(361_000)
  t.equal(side.seal(0, frame), undefined, 'and these end, too')
  t.not(side.seal(1, frame), undefined)
  look(400_000)
  t.equal(side.seal(1, frame), undefined)
})
