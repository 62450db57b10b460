/**
 * Sends Ethernet frames in UDP like a peer, at a steady rate. Each frame has a random source MAC, and a random
 * destination MAC that belongs to no host. The argument is a {@link MacFlood} in JSON. At the end it prints how
 * many frames it has sent.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { MSG_DONTWAIT } from '../../../src/linux/constants.js'
import { sendmmsg } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { type Endpoint, encodeSockaddr, SOCKADDR_BYTES, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { openUdp } from '../../../src/linux/udp.js'
import { SendBatch } from '../../../src/worker/outbound/send-batch.js'
import { Scratch } from '../../../src/worker/scratch.js'
import { Noise } from './noise.js'

export interface MacFlood {
  /** The peers that receive the flood. Each receives all of it. */
  readonly to: readonly Endpoint[]
  /** The source port. */
  readonly port: number
  readonly framesPerSecond: number
  readonly seconds: number
  readonly seed: number
}

const FRAME_BYTES = 60
const BATCH = 50

const { to, port, framesPerSecond, seconds, seed }: MacFlood = JSON.parse(process.argv[2])
const noise = new Noise(seed)
const names = BATCH * 64
const memory = NativeMemory.allocate(1 << 20)
const socket = openUdp({
  listen: { address: undefined, port },
  receiveBufferBytes: 1 << 16,
  sendBufferBytes: 1 << 20,
})
const scratch = new Scratch(memory, names + to.length * 64)
const batch = new SendBatch(scratch, sockaddrLength(socket.family))
batch.segments = false
for (const [index, endpoint] of to.entries()) {
  memory.u8.set(encodeSockaddr(socket.family, endpoint).subarray(0, SOCKADDR_BYTES), names + index * 64)
}

let sent = 0
const startedMs = performance.now()
for (let turn = 0; performance.now() - startedMs < seconds * 1000; ) {
  const due = ((performance.now() - startedMs) / 1000) * framesPerSecond
  if (turn * BATCH >= due) {
    await sleep(1)
    continue
  }
  turn++
  const macs = noise.bytes(BATCH * 12)
  for (let index = 0; index < BATCH; index++) {
    const frame = index * 64
    memory.u8.set(macs.subarray(index * 12, index * 12 + 12), frame)
    memory.u8[frame] &= 0xfe
    memory.u8[frame + 6] &= 0xfe
    memory.view.setUint16(frame + 12, 0x88b6)
  }
  for (const [index] of to.entries()) {
    for (let frame = 0; frame < BATCH; frame++) {
      batch.addFrame(frame * 64, FRAME_BYTES, index, names + index * 64)
    }
    batch.seal()
    const done = sendmmsg(socket.fd, batch.addressOf(0), BATCH, MSG_DONTWAIT)
    sent += Math.max(0, done)
    batch.clear()
  }
}
process.stdout.write(`${sent}\n`)
process.exit(0)
