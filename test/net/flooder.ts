/**
 * Sends UDP datagrams over IPv4 as fast as the kernel takes them, of random size and content (or given ones, at a
 * given rate) and from any source: packets made whole here, and sent by a raw socket (raw(7), `IPPROTO_RAW`). The argument is a
 * {@link Flood} in JSON, as is the {@link FloodReport} that it prints at the end.
 */
import { Scratch } from '../../src/forward/scratch.js'
import { SendBatch } from '../../src/forward/send-batch.js'
import { AF_INET, SOCK_CLOEXEC, SOCK_RAW } from '../../src/linux/constants.js'
import { must, sendmmsg, socket } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { type Endpoint, encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../../src/wire/ip.js'
import { Noise } from './noise.js'

export interface Flood {
  readonly to: Endpoint
  /** Taken by turns. */
  readonly from: readonly Endpoint[]
  readonly datagrams: number
  /** The longest payload. The shortest is empty. */
  readonly maxBytes: number
  readonly seed: number
  /** In base64, taken by turns in place of random ones. */
  readonly payloads?: readonly string[]
  /** How many a second; without, as fast as the kernel takes them. */
  readonly perSecond?: number
}

export interface FloodReport {
  readonly sent: number
  readonly tookMs: number
}

const IPPROTO_RAW = 255
const IPPROTO_UDP = 17
const HEADER_BYTES = IPV4_HEADER_BYTES + UDP_HEADER_BYTES
const BATCH = 64
const SLOT_BYTES = 2048
/** Payloads are taken from anywhere in as many random bytes. */
const NOISE_BYTES = 1 << 20

const flood: Flood = JSON.parse(process.argv[2])
const { to, from, datagrams, maxBytes, seed, perSecond = Number.POSITIVE_INFINITY } = flood
const payloads = (flood.payloads ?? []).map((it) => Buffer.from(it, 'base64'))
const noise = new Noise(seed)
const contents = noise.bytes(NOISE_BYTES + maxBytes)
const memory = NativeMemory.allocate(1 << 20)
const slots = 0
const name = BATCH * SLOT_BYTES
const batch = new SendBatch(new Scratch(memory, name + 64), sockaddrLength(AF_INET))
batch.segments = false
memory.u8.set(encodeSockaddr(AF_INET, { ...to, port: 0 }), name)

/** The kernel fills in the lengths and the checksum of the IPv4 header; UDP goes without one. */
function writeHeaders(at: number, source: Endpoint): void {
  const { view, u8 } = memory
  const udp = at + IPV4_HEADER_BYTES
  u8[at] = 0x45
  u8[at + 8] = 64
  u8[at + 9] = IPPROTO_UDP
  u8.set(source.address.split('.').map(Number), at + 12)
  u8.set(to.address.split('.').map(Number), at + 16)
  view.setUint16(udp, source.port)
  view.setUint16(udp + 2, to.port)
}
for (let i = 0; i < BATCH; i++) writeHeaders(slots + i * SLOT_BYTES, from[i % from.length])

const fd = must('socket', () => socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW))
const pause = new Int32Array(new SharedArrayBuffer(4))
const startedMs = performance.now()
let sent = 0
while (sent < datagrams) {
  const count = Math.min(BATCH, datagrams - sent)
  const dueMs = startedMs + (sent / perSecond) * 1000
  if (dueMs > performance.now()) {
    Atomics.wait(pause, 0, 0, Math.min(20, dueMs - performance.now()))
    continue
  }
  const dice = noise.bytes(count * 8)
  for (let i = 0; i < count; i++) {
    const at = slots + i * SLOT_BYTES
    const where = dice.readUInt32LE(i * 8 + 4) % NOISE_BYTES
    const given = payloads[(sent + i) % payloads.length]
    const bytes = given?.length ?? dice.readUInt32LE(i * 8) % (maxBytes + 1)
    memory.u8.set(given ?? contents.subarray(where, where + bytes), at + HEADER_BYTES)
    memory.view.setUint16(at + IPV4_HEADER_BYTES + 4, UDP_HEADER_BYTES + bytes)
    batch.addFrame(at, HEADER_BYTES + bytes, 0, name)
  }
  batch.seal()
  for (let done = 0; done < count; ) {
    done += must('sendmmsg', () => sendmmsg(fd, batch.addressOf(done), count - done, 0))
  }
  batch.clear()
  sent += count
}
const report: FloodReport = { sent, tookMs: performance.now() - startedMs }
process.stdout.write(`${JSON.stringify(report)}\n`)
