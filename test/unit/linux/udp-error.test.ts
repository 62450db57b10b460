import t from 'tap'
import { encapFor } from '../../../src/encap/encap.js'
import { MSG_DONTWAIT, POLLERR } from '../../../src/linux/constants.js'
import { close, connect, poll, send } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { encodeSockaddr, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { openUdp, takeError } from '../../../src/linux/udp.js'
import { COUNTERS } from '../../../src/memory/counters.js'
import { Drops } from '../../../src/memory/drops.js'
import { PeerTable } from '../../../src/memory/peer-table.js'
import { planMemory } from '../../../src/memory/plan.js'
import { StateWords } from '../../../src/memory/state-words.js'
import { Stranger } from '../../../src/memory/stranger.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import { UdpSource } from '../../../src/worker/inbound/udp-source.js'
import { Scratch } from '../../../src/worker/scratch.js'

/** Whether poll has an error to tell of. */
function hasError(fd: number): boolean {
  const polled = Buffer.alloc(8)
  polled.writeInt32LE(fd)
  poll(polled, 1, 0)
  return (polled.readInt16LE(6) & POLLERR) !== 0
}

t.test('an error of the socket ends one sleep, not all that follow', async (t) => {
  const buffers = { receiveBufferBytes: 1 << 16, sendBufferBytes: 1 << 16 }
  const socket = openUdp({ listen: { address: '127.0.0.1', port: 0 }, ...buffers })
  t.teardown(() => close(socket.fd))
  // Connected, as the tunnel's never is, it hears of ICMP: the one way to an error without being root.
  const nobody = encodeSockaddr(socket.family, { address: '127.0.0.1', port: 9 })
  t.equal(connect(socket.fd, nobody, sockaddrLength(socket.family)), 0)
  const plan = planMemory(1)
  const memory = NativeMemory.allocate(plan.bytes)
  const counters = new Float64Array(COUNTERS.length)
  const peerCounters = new Float64Array(64)
  const source = new UdpSource(
    {
      fd: socket.fd,
      sockaddrBytes: sockaddrLength(socket.family),
      stranger: new Stranger(memory, plan.stranger),
      tellMain: () => {},
      peers: new PeerTable(memory, plan.peers, plan.peerRows),
      peerCounters,
      encap: encapFor('tap', false),
      sum: byteOperations(memory).sum,
      drops: new Drops(counters, peerCounters),
      words: new StateWords(memory, plan.state),
    },
    new Scratch(memory, plan.udp.scratch),
    counters,
  )
  const provoke = () => {
    send(socket.fd, new Uint8Array(1), 1, MSG_DONTWAIT)
    t.equal(hasError(socket.fd), true)
  }
  provoke()
  source.handleError()
  t.equal(hasError(socket.fd), false)
  provoke()
  t.ok(takeError(socket.fd) > 0)
  t.equal(takeError(socket.fd), 0)
})
