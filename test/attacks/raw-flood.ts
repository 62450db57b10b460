import { setTimeout as sleep } from 'node:timers/promises'
import { AF_INET, SOCK_CLOEXEC, SOCK_RAW } from '../../src/linux/constants.js'
import { ENOBUFS } from '../../src/linux/errno.js'
import { close, lastErrno, must, sendmmsg, socket } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { type Endpoint, encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../../src/wire/ip.js'
import { SendBatch } from '../../src/worker/outbound/send-batch.js'
import { Scratch } from '../../src/worker/scratch.js'

/** UDP datagrams over IPv4, from any source: made whole, and sent by a raw socket (raw(7), `IPPROTO_RAW`). */
export interface RawFlood {
  readonly to: Endpoint
  /** Taken by turns. */
  readonly from: readonly Endpoint[]
  /** What the datagram of that number holds. */
  payload(index: number): Uint8Array
  readonly datagrams: number
  /** How many a second; infinite for as fast as the kernel takes them. */
  readonly perSecond: number
  /** Ends it before its time. */
  readonly signal?: AbortSignal
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
/** After so many, signals are looked at, however fast it is to go. */
const YIELD_DATAGRAMS = 64 * 100

const bytesOf = (address: string) => Uint8Array.from(address.split('.'), Number)

export async function sendFlood(flood: RawFlood): Promise<FloodReport> {
  const { to, from, datagrams, perSecond } = flood
  const memory = NativeMemory.allocate(1 << 20)
  const { u8, view } = memory
  const name = BATCH * SLOT_BYTES
  const batch = new SendBatch(new Scratch(memory, name + 64), sockaddrLength(AF_INET))
  batch.segments = false
  u8.set(encodeSockaddr(AF_INET, { ...to, port: 0 }), name)
  const sources = from.map(({ address, port }) => ({ address: bytesOf(address), port }))
  // The kernel fills in the lengths and the checksum of the IPv4 header; UDP goes without one.
  for (let at = 0; at < name; at += SLOT_BYTES) {
    u8[at] = 0x45
    u8[at + 8] = 64
    u8[at + 9] = IPPROTO_UDP
    u8.set(bytesOf(to.address), at + 16)
    view.setUint16(at + IPV4_HEADER_BYTES + 2, to.port)
  }
  const fd = must('socket', () => socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW))
  const startedMs = performance.now()
  let sent = 0
  while (sent < datagrams && !flood.signal?.aborted) {
    const count = Math.min(BATCH, datagrams - sent)
    const waitMs = startedMs + (sent / perSecond) * 1000 - performance.now()
    if (waitMs > 0) {
      await sleep(waitMs)
      continue
    }
    for (let i = 0; i < count; i++) {
      const at = i * SLOT_BYTES
      const source = sources[(sent + i) % sources.length]
      const payload = flood.payload(sent + i)
      u8.set(source.address, at + 12)
      view.setUint16(at + IPV4_HEADER_BYTES, source.port)
      view.setUint16(at + IPV4_HEADER_BYTES + 4, UDP_HEADER_BYTES + payload.length)
      u8.set(payload, at + HEADER_BYTES)
      batch.addFrame(at, HEADER_BYTES + payload.length, 0, name)
    }
    batch.seal()
    for (let done = 0; done < count; ) {
      const now = sendmmsg(fd, batch.addressOf(done), count - done, 0)
      if (now > 0) done += now
      else if (lastErrno() === ENOBUFS) await sleep(1)
      else must('sendmmsg', () => now)
    }
    batch.clear()
    sent += count
    if (sent % YIELD_DATAGRAMS === 0) await sleep(0)
  }
  close(fd)
  return { sent, tookMs: performance.now() - startedMs }
}
