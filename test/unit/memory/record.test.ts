import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { MSG_DONTWAIT, POLLIN } from '../../../src/linux/constants.js'
import { close, must, poll, readv, recvmmsg, sendmmsg, writev } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { encodeSockaddr, SOCKADDR_BYTES, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { iovec, mmsghdr, msghdr, pollfd } from '../../../src/linux/structs.js'
import { openUdp, type UdpSocket } from '../../../src/linux/udp.js'
import { SCRATCH_BYTES } from '../../../src/memory/plan.js'
import { framesOffset, MAX_FRAME_BYTES, Records } from '../../../src/memory/record.js'
import { RECORD_ALIGN, Ring, ringBytes } from '../../../src/memory/ring.js'
import { ReceiveVector } from '../../../src/worker/inbound/receive-vector.js'
import { SendBatch } from '../../../src/worker/outbound/send-batch.js'
import { Scratch } from '../../../src/worker/scratch.js'

/** Each ring as large as a tunnel's. */
const RING_DATA_BYTES = 512 * 1024
const SCRATCH_AT = 2 * ringBytes(RING_DATA_BYTES)

/** Two rings and scratch in one memory, as two workers have them. */
function twoRings() {
  const memory = NativeMemory.allocate(SCRATCH_AT + SCRATCH_BYTES)
  const ring = (index: number) => new Ring(memory, index * ringBytes(RING_DATA_BYTES), RING_DATA_BYTES)
  return {
    memory,
    first: ring(0),
    second: ring(1),
    records: new Records(memory),
    scratch: new Scratch(memory, SCRATCH_AT),
  }
}

/** Bytes that differ from place to place. */
function pattern(bytes: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (seed * 31 + i * 7 + (i >>> 8)) & 0xff)
}

function frame(memory: NativeMemory, offset: number, bytes: number): Buffer {
  return Buffer.from(memory.u8.subarray(offset, offset + bytes))
}

interface Entry {
  readonly bytes: number
  readonly gsoSize: number
  readonly row: number
}

const entry = fc.record({
  bytes: fc.oneof(fc.integer({ min: 14, max: 1518 }), fc.integer({ min: 1, max: MAX_FRAME_BYTES })),
  gsoSize: fc.constantFrom(0, 536, 1448, 0xffff),
  row: fc.nat(0xffffffff),
})

/** Commits the entries as one run, each frame behind the one before on a line of its own. */
function commitRun(ring: Ring, records: Records, memory: NativeMemory, entries: readonly Entry[]): number {
  const lengths = entries.map(({ bytes }) => (bytes + 63) & -64)
  const room = framesOffset(entries.length) + lengths.reduce((sum, bytes) => sum + bytes, 0)
  const record = ring.reserve(room)
  if (record < 0) throw new Error(`no room for ${room} bytes`)
  let at = record + framesOffset(entries.length)
  for (const [index, { bytes, gsoSize, row }] of entries.entries()) {
    memory.u8.set(pattern(bytes, index), at)
    records.setEntry(record, index, at, bytes, gsoSize, row)
    at += lengths[index]
  }
  records.setCount(record, entries.length)
  ring.commit(at - record)
  return record
}

t.test('a run of frames: the table gives back every entry, and every frame is where it says', async (t) => {
  const runs = fc.array(fc.array(entry, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 20 })
  const property = fc.property(runs, (runs) => {
    const { memory, first: ring, records } = twoRings()
    for (const entries of runs) {
      commitRun(ring, records, memory, entries)
      const record = ring.peek()
      if (records.count(record) !== entries.length) return false
      for (const [index, { bytes, gsoSize, row }] of entries.entries()) {
        const offset = records.offset(record, index)
        if (offset < record + framesOffset(entries.length) || offset % RECORD_ALIGN !== 0) return false
        if (records.bytes(record, index) !== bytes || records.row(record, index) !== row) return false
        if (records.gsoSize(record, index) !== gsoSize) return false
        if (!frame(memory, offset, bytes).equals(pattern(bytes, index))) return false
      }
      ring.release()
    }
    return ring.peek() === -1
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 50 }))
})

t.test('the frames begin behind the table, on a line of their own', async (t) => {
  for (let entries = 0; entries < 200; entries++) {
    const offset = framesOffset(entries)
    if (offset % RECORD_ALIGN !== 0 || offset < 16 + 16 * entries || offset >= 16 + 16 * entries + 64)
      t.fail(`${entries} entries: ${offset}`)
  }
  t.equal(framesOffset(32), 576)
})

/** An array of `struct iovec` in the scratch, over those parts of the memory. */
function iovecs(memory: NativeMemory, scratch: Scratch, parts: readonly { at: number; bytes: number }[]) {
  const vector = scratch.take(parts.length * iovec.size)
  for (const [index, { at, bytes }] of parts.entries()) {
    memory.writePointer(vector + index * iovec.size + iovec.iov_base, at)
    memory.u32[(vector + index * iovec.size + iovec.iov_len) >>> 2] = bytes
  }
  return vector
}

t.test('the kernel empties a ring and fills another in place: writev and readv', async (t) => {
  const path = join(t.testdir(), 'frames')
  const { memory, first, second, records, scratch } = twoRings()
  const entries = [60, 1514, 9014, 14, MAX_FRAME_BYTES].map((bytes) => ({ bytes, gsoSize: 0, row: 0 }))
  commitRun(first, records, memory, entries)

  const from = first.peek()
  const gathered = entries.map(({ bytes }, index) => ({ at: records.offset(from, index), bytes }))
  const total = entries.reduce((sum, { bytes }) => sum + bytes, 0)
  const out = openSync(path, 'w')
  const written = writev(out, memory.address(iovecs(memory, scratch, gathered)), gathered.length)
  closeSync(out)
  t.equal(written, total, 'one call gathered all frames')
  first.release()

  const to = second.reserve(second.maxRecordBytes)
  let at = to + framesOffset(entries.length)
  const scattered = entries.map(({ bytes }) => {
    const part = { at, bytes }
    at += (bytes + 127) & -64
    return part
  })
  const input = openSync(path, 'r')
  const read = readv(input, memory.address(iovecs(memory, scratch, scattered)), scattered.length)
  closeSync(input)
  t.equal(read, total, 'one call scattered them again')
  for (const [index, { at, bytes }] of scattered.entries()) {
    records.setEntry(to, index, at, bytes, 0, 0)
    t.ok(frame(memory, at, bytes).equals(pattern(bytes, index)), `frame of ${bytes} bytes`)
  }
  records.setCount(to, entries.length)
  second.commit(at - to)
  t.equal(records.count(second.peek()), entries.length)
})

/** A socket on the loopback interface. */
function loopback(): UdpSocket {
  return openUdp({
    listen: { address: '127.0.0.1', port: 0 },
    receiveBufferBytes: 4 * 1024 * 1024,
    sendBufferBytes: 4 * 1024 * 1024,
  })
}

/** Receives `count` datagrams into slots of `slotBytes` in a record of `ring`; the record is committed. */
function receiveInto(
  ring: Ring,
  tools: { memory: NativeMemory; records: Records; scratch: Scratch },
  fd: number,
  count: number,
  slotBytes: number,
): number {
  const { memory, records, scratch } = tools
  const record = ring.reserve(framesOffset(count) + count * slotBytes)
  const vector = new ReceiveVector(scratch, count, SOCKADDR_BYTES)
  for (let i = 0; i < count; i++) vector.prepare(i, record + framesOffset(count) + i * slotBytes, slotBytes)
  const polled = scratch.take(pollfd.size)
  memory.i32[(polled + pollfd.fd) >>> 2] = fd
  memory.u16[(polled + pollfd.events) >>> 1] = POLLIN
  for (let received = 0; received < count; ) {
    if (poll(memory.address(polled), 1, 5_000) !== 1) throw new Error(`${received} of ${count} arrived`)
    const rest = vector.address + BigInt(received * mmsghdr.size)
    received += must('recvmmsg', () => recvmmsg(fd, rest, count - received, MSG_DONTWAIT, null))
  }
  for (let i = 0; i < count; i++) {
    const offset = record + framesOffset(count) + i * slotBytes
    records.setEntry(record, i, offset, vector.bytes(i), 0, 0)
  }
  records.setCount(record, count)
  ring.commit(framesOffset(count) + count * slotBytes)
  return record
}

t.test(
  'the kernel sends a run out of a ring and receives it into another: sendmmsg and recvmmsg',
  async (t) => {
    const tools = twoRings()
    const { memory, first, second, records, scratch } = tools
    const [a, b] = [loopback(), loopback()]
    t.teardown(() => {
      close(a.fd)
      close(b.fd)
    })
    const name = scratch.take(SOCKADDR_BYTES)
    memory.u8.set(encodeSockaddr(a.family, b.local), name)
    const entries = Array.from({ length: 32 }, (_, i) => ({ bytes: 14 + i * 47, gsoSize: 0, row: 0 }))
    commitRun(first, records, memory, entries)

    const run = first.peek()
    const batch = new SendBatch(scratch, sockaddrLength(a.family))
    for (let i = 0; i < records.count(run); i++) {
      batch.addFrame(records.offset(run, i), records.bytes(run, i), records.row(run, i), name)
    }
    batch.seal()
    t.equal(batch.count, entries.length, 'each is longer than the one before, so none follows it in a run')
    t.equal(sendmmsg(a.fd, batch.addressOf(0), batch.count, 0), entries.length)
    first.release()

    const record = receiveInto(second, tools, b.fd, entries.length, 1536)
    t.equal(second.peek(), record)
    for (const [index, { bytes }] of entries.entries()) {
      t.equal(records.bytes(record, index), bytes)
      t.ok(frame(memory, records.offset(record, index), bytes).equals(pattern(bytes, index)))
    }
  },
)

t.test('a super-frame of 64 KiB leaves as segments, each a header and a slice where it lies', async (t) => {
  const tools = twoRings()
  const { memory, first, second, records, scratch } = tools
  const [a, b] = [loopback(), loopback()]
  t.teardown(() => {
    close(a.fd)
    close(b.fd)
  })
  const headerBytes = 54
  const payloadBytes = 65_536
  const gsoSize = 1_448
  commitRun(first, records, memory, [{ bytes: headerBytes + payloadBytes, gsoSize, row: 7 }])
  const record = first.peek()
  t.same(
    [records.count(record), records.bytes(record, 0), records.gsoSize(record, 0), records.row(record, 0)],
    [1, headerBytes + payloadBytes, gsoSize, 7],
  )

  const name = scratch.take(SOCKADDR_BYTES)
  memory.u8.set(encodeSockaddr(a.family, b.local), name)
  const segments = Math.ceil(payloadBytes / records.gsoSize(record, 0))
  const messages = scratch.take(segments * mmsghdr.size)
  const payload = records.offset(record, 0) + headerBytes
  for (let i = 0; i < segments; i++) {
    const header = scratch.take(headerBytes)
    memory.u8.set(pattern(headerBytes, 100 + i), header)
    const slice = { at: payload + i * gsoSize, bytes: Math.min(gsoSize, payloadBytes - i * gsoSize) }
    const message = messages + i * mmsghdr.size
    memory.writePointer(message + msghdr.msg_name, name)
    memory.u32[(message + msghdr.msg_namelen) >>> 2] = sockaddrLength(a.family)
    memory.writePointer(
      message + msghdr.msg_iov,
      iovecs(memory, scratch, [{ at: header, bytes: headerBytes }, slice]),
    )
    memory.u32[(message + msghdr.msg_iovlen) >>> 2] = 2
  }
  t.equal(sendmmsg(a.fd, memory.address(messages), segments, 0), segments)
  const whole = pattern(headerBytes + payloadBytes, 0).subarray(headerBytes)
  first.release()

  const received = receiveInto(second, tools, b.fd, segments, 1536)
  const slices: Buffer[] = []
  for (let i = 0; i < records.count(received); i++) {
    const segment = frame(memory, records.offset(received, i), records.bytes(received, i))
    t.ok(segment.subarray(0, headerBytes).equals(pattern(headerBytes, 100 + i)), `header of segment ${i}`)
    slices.push(segment.subarray(headerBytes))
  }
  t.ok(Buffer.concat(slices).equals(whole), 'the payload, joined again')
})

t.test('a ring of the size the tunnels have holds several super-frames', async (t) => {
  const { memory, first, records } = twoRings()
  const superFrame = { bytes: MAX_FRAME_BYTES, gsoSize: 1448, row: 0 }
  let held = 0
  for (const room = framesOffset(1) + MAX_FRAME_BYTES + 64; first.reserve(room) >= 0; held++) {
    commitRun(first, records, memory, [superFrame])
  }
  t.equal(held, Math.floor(RING_DATA_BYTES / (framesOffset(1) + ((MAX_FRAME_BYTES + 63) & -64))))
  for (let i = 0; i < held; i++) {
    const record = first.peek()
    t.equal(records.bytes(record, 0), MAX_FRAME_BYTES)
    first.release()
  }
  t.equal(first.usedBytes, 0)
})
