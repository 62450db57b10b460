import { MSG_DONTWAIT } from '../../src/linux/constants.js'
import { must, recvmmsg } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { sockaddrLength } from '../../src/linux/sockaddr.js'
import type { UdpSocket } from '../../src/linux/udp.js'
import { SCRATCH_BYTES } from '../../src/memory/plan.js'
import { ReceiveVector } from '../../src/worker/inbound/receive-vector.js'
import { Scratch } from '../../src/worker/scratch.js'

const MESSAGES = 16
const SLOT_BYTES = 65_536

/** What has come to a socket: the DS field of each datagram or run, and its bytes. */
export function datagramsTo(peer: UdpSocket): { dsField: number; bytes: number; gsoSize: number }[] {
  const memory = NativeMemory.allocate(SCRATCH_BYTES + MESSAGES * SLOT_BYTES)
  const vector = new ReceiveVector(new Scratch(memory, 0), MESSAGES, sockaddrLength(peer.family))
  for (let i = 0; i < MESSAGES; i++) vector.prepare(i, SCRATCH_BYTES + i * SLOT_BYTES, SLOT_BYTES)
  const count = must('recvmmsg', () => recvmmsg(peer.fd, vector.address, MESSAGES, MSG_DONTWAIT, null))
  return Array.from({ length: count }, (_, i) => ({
    dsField: vector.dsField(i),
    bytes: vector.bytes(i),
    gsoSize: vector.gsoSize(i),
  }))
}
