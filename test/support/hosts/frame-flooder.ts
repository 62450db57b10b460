/**
 * Puts given frames in turn into a network interface, at a given rate and for a given time (packet(7)). The
 * argument is a {@link FrameFlood} in JSON. Prints how many frames it has sent.
 */
import { AF_PACKET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from '../../../src/linux/constants.js'
import { EAGAIN, ENOBUFS, KernelError } from '../../../src/linux/errno.js'
import { bind, if_nametoindex, lastErrno, must, send, socket } from '../../../src/linux/libc.js'
import { sockaddr_ll } from '../../../src/linux/structs.js'

export interface FrameFlood {
  readonly device: string
  /** In base64. */
  readonly frames: readonly string[]
  readonly perSecond: number
  readonly seconds: number
}

/** Frames sent between two looks at the clock. */
const BURST = 16

const { device, frames, perSecond, seconds }: FrameFlood = JSON.parse(process.argv[2])
const bytes = frames.map((it) => Buffer.from(it, 'base64'))
const fd = must('socket', () => socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
// Protocol 0: the socket receives nothing.
const name = Buffer.alloc(sockaddr_ll.size)
name.writeUInt16LE(AF_PACKET, sockaddr_ll.sll_family)
name.writeInt32LE(if_nametoindex(device), sockaddr_ll.sll_ifindex)
must('bind', () => bind(fd, name, name.length))

const pause = new Int32Array(new SharedArrayBuffer(4))
const startedMs = performance.now()
let sent = 0
for (let turn = 0; ; ) {
  const nowMs = performance.now()
  if (nowMs >= startedMs + seconds * 1000) break
  const dueMs = startedMs + (turn / perSecond) * 1000
  if (dueMs > nowMs) {
    Atomics.wait(pause, 0, 0, Math.min(20, dueMs - nowMs))
    continue
  }
  for (let i = 0; i < BURST; i++, turn++) {
    const frame = bytes[turn % bytes.length]
    if (send(fd, frame, frame.length, 0) >= 0) sent++
    else if (lastErrno() !== ENOBUFS && lastErrno() !== EAGAIN) throw new KernelError('send', lastErrno())
  }
}
process.stdout.write(`${sent}\n`)
