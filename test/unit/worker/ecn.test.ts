/** The DS field of datagrams, at both workers and over real sockets (RFC 6040). */
import t, { type Test } from 'tap'
import { IP_TOS, SOL_IP } from '../../../src/linux/constants.js'
import { must, setsockopt } from '../../../src/linux/libc.js'
import { enableGro, type UdpSocket } from '../../../src/linux/udp.js'
import { CONGESTED, innerEcn } from '../../../src/wire/ecn.js'
import { framesOf, PLAIN_FLOW } from '../../support/frames.js'
import { datagramsTo } from '../../support/received.js'
import { datagrams, WorkerPair } from '../../support/worker-pair.js'

/** What a peer sends from now on has this DS field. */
function mark(peer: UdpSocket, dsField: number): void {
  must('setsockopt', () => setsockopt(peer.fd, SOL_IP, IP_TOS, new Int32Array([dsField]), 4))
}

const frameOf = (tos: number, ip: 4 | 6 = 4, payloadBytes = 10) =>
  framesOf({ ...PLAIN_FLOW, ip, tos }, [{ payload: new Uint8Array(payloadBytes), flags: 0x10 }])[0]

function arp(): Uint8Array {
  const frame = frameOf(3)
  frame.set([0x08, 0x06], 12)
  return frame
}

/** A host with peers in its rows. */
function world(t: Test, secret: boolean, peers = 1) {
  const pair = new WorkerPair(t, secret)
  const sockets = Array.from({ length: peers }, () => pair.openPeer())
  for (const [row, socket] of sockets.entries()) {
    pair.join(row, socket)
    if (secret) pair.key(row)
  }
  pair.step()
  return { pair, sockets, peer: sockets[0] }
}

for (const secret of [false, true]) {
  const title = secret ? 'private' : 'plain'

  t.test(`${title}: a datagram has the ECN of its packet, and not its DSCP`, async (t) => {
    const { pair, peer } = world(t, secret)
    for (const ip of [4, 6] as const)
      for (const tos of [0, 1, 2, 3, 0xb8, 0xb9, 0xba, 0xbb]) {
        pair.send(frameOf(tos, ip))
        pair.step()
        t.match(datagramsTo(peer), [{ dsField: tos & 3 }], `IPv${ip}, ${tos}`)
      }
    pair.send(arp())
    pair.step()
    t.match(datagramsTo(peer), [{ dsField: 0 }], 'what is not IP is not ECN-capable')
  })

  t.test(`${title}: frames of one length are one run only while their marks agree`, async (t) => {
    const { pair, peer } = world(t, secret)
    t.equal(enableGro(peer.fd), true)
    const marks = [0, 0, 2, 2, 2, 3, 0, 0]
    for (const tos of marks) pair.send(frameOf(tos))
    pair.step()
    const came = datagramsTo(peer)
    const counted = came.map(({ dsField, bytes, gsoSize }) => ({
      dsField,
      frames: gsoSize === 0 ? 1 : bytes / gsoSize,
    }))
    t.same(
      counted.flatMap(({ dsField, frames }) => Array(frames).fill(dsField)),
      marks,
      'in their order, and each with its own',
    )
    t.ok(
      counted.some(({ dsField, frames }) => dsField === 2 && frames === 3),
      'those that agree are a run',
    )
  })

  t.test(`${title}: a flood has the mark at each peer`, async (t) => {
    const { pair, sockets } = world(t, secret, 2)
    const frame = frameOf(2)
    frame.fill(0xff, 0, 6)
    pair.send(frame)
    pair.step()
    for (const socket of sockets) t.match(datagramsTo(socket), [{ dsField: 2 }])
  })

  t.test(`${title}: what comes is marked or dropped as in RFC 6040`, async (t) => {
    const { pair, peer } = world(t, secret)
    /** The datagram with a frame. The keys of a row are the same in both directions. */
    const datagramWith = (frame: Uint8Array): Uint8Array => {
      if (!secret) return frame
      pair.send(frame)
      pair.step()
      return datagrams(peer.fd)[0]
    }
    let drops = 0
    for (let inner = 0; inner < 4; inner++)
      for (let outer = 0; outer < 4; outer++) {
        mark(peer, outer | 0xb8)
        pair.sendFrom(peer, datagramWith(frameOf(inner)))
        pair.step()
        const wanted = innerEcn(inner, outer)
        if (wanted === CONGESTED) drops++
        const came = wanted === CONGESTED ? [] : [Buffer.from(frameOf(wanted))]
        t.same(pair.received(), came, `${inner} in ${outer}`)
        t.equal(pair.count('dropCongested'), drops)
        t.equal(pair.countOf(0, 'droppedInbound'), drops)
      }
    t.equal(drops, 1)
  })
}
