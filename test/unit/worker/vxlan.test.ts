/** VXLAN at both workers, over real sockets. */
import t, { type Test } from 'tap'
import { encodeSockaddr } from '../../../src/linux/sockaddr.js'
import { virtio_net_hdr } from '../../../src/linux/structs.js'
import type { UdpSocket } from '../../../src/linux/udp.js'
import { VXLAN_PORT } from '../../../src/wire/vxlan.js'
import { framesOf, PLAIN_FLOW, superFrameOf } from '../../support/frames.js'
import { datagrams, WorkerPair } from '../../support/worker-pair.js'

const VNI = 42
const HEADER = Buffer.from('0800000000002a00', 'hex')

const frameOf = (payloadBytes: number, id = 1) =>
  Buffer.from(
    framesOf({ ...PLAIN_FLOW, id, protocol: 'udp' }, [
      { payload: new Uint8Array(payloadBytes), flags: 0 },
    ])[0],
  )

/** A host of a VXLAN network, and a peer. What it sends goes to the peer's own port, not to that of VXLAN. */
function world(t: Test, peers = 1) {
  const pair = new WorkerPair(t, false, false, VNI)
  const sockets = Array.from({ length: peers }, () => pair.openPeer())
  for (const [row, socket] of sockets.entries()) pair.join(row, socket)
  pair.step()
  return { pair, sockets, peer: sockets[0] }
}

/** A peer is at an address with the port of VXLAN, whatever port it sends from. */
function livesAt(pair: WorkerPair, row: number, { family, local }: UdpSocket): void {
  pair.table.setAddress(row, encodeSockaddr(family, { address: local.address, port: VXLAN_PORT }))
}

t.test('each frame has the header before it, alone and in a flood', async (t) => {
  const { pair, sockets } = world(t, 2)
  const all = frameOf(100)
  all.fill(0xff, 0, 6)
  for (const _ of [1, 2]) {
    pair.send(all)
    pair.step()
    for (const socket of sockets) t.same(datagrams(socket.fd), [Buffer.concat([HEADER, all])])
  }
  t.equal(virtio_net_hdr.size >= HEADER.length, true, 'it fits before the frame')
})

t.test('what comes is unwrapped, from any port, with any reserved bits', async (t) => {
  const { pair, peer } = world(t)
  const other = pair.openPeer()
  livesAt(pair, 0, peer)
  for (const [socket, hex] of [
    [peer, '0800000000002a00'],
    [other, '0800000000002a00'],
    [other, 'ffabcdef00002a77'],
  ] as const) {
    const frame = frameOf(60)
    pair.sendFrom(socket, Buffer.concat([Buffer.from(hex, 'hex'), frame]))
    pair.step()
    t.same(pair.received(), [frame])
  }
  t.equal(pair.countOf(0, 'receivedFrames'), 3)
})

t.test('another network, no header, and too few bytes are dropped and counted', async (t) => {
  const { pair, peer } = world(t)
  livesAt(pair, 0, peer)
  for (const bytes of [
    Buffer.concat([Buffer.from('0800000000002b00', 'hex'), frameOf(60)]),
    Buffer.concat([Buffer.from('0000000000002a00', 'hex'), frameOf(60)]),
    frameOf(60),
    HEADER.subarray(0, 7),
  ]) {
    pair.sendFrom(peer, bytes)
    pair.step()
  }
  t.equal(pair.count('dropVni'), 4)
  pair.sendFrom(peer, Buffer.concat([HEADER, frameOf(60).subarray(0, 13)]))
  pair.step()
  t.equal(pair.count('dropRunt'), 1)
  t.same(pair.received(), [])
  t.equal(pair.countOf(0, 'droppedInbound'), 5)
})

t.test('an address that is no peer stays a stranger', async (t) => {
  const { pair, peer } = world(t)
  pair.table.setAddress(0, encodeSockaddr(peer.family, { address: '127.0.0.9', port: VXLAN_PORT }))
  pair.sendFrom(peer, Buffer.concat([HEADER, frameOf(60)]))
  pair.step()
  t.equal(pair.count('dropForeign'), 1)
})

t.test('checksums are filled in only for a peer whose kernel may leave them out', async (t) => {
  const { pair, peer } = world(t)
  livesAt(pair, 0, peer)
  const pieces = [{ payload: new Uint8Array(100).fill(7), flags: 0x10 }]
  const right = Buffer.from(framesOf(PLAIN_FLOW, pieces)[0])
  const leftOut = Buffer.from(superFrameOf(PLAIN_FLOW, pieces).bytes)
  for (const lacks of [false, true]) {
    pair.table.setLacksSums(0, lacks)
    pair.sendFrom(peer, Buffer.concat([HEADER, leftOut]))
    pair.step()
    t.same(pair.received(), [lacks ? right : leftOut])
  }
})

t.test('what nobody has cut is taken only from such a peer, if the device can cut it', async (t) => {
  const { pair, peer } = world(t)
  livesAt(pair, 0, peer)
  const pieces = [{ payload: new Uint8Array(9_000).fill(7), flags: 0x10 }]
  const uncut = Buffer.from(superFrameOf(PLAIN_FLOW, pieces).bytes)
  const other = Buffer.from(framesOf(PLAIN_FLOW, pieces)[0])
  pair.words.deviceMtuBytes = 1_450
  let drops = 0
  for (const [lacks, cuts, frame, arrives] of [
    [false, true, uncut, false],
    [true, true, other, false],
    [true, false, uncut, false],
    [true, true, uncut, true],
  ] as const) {
    pair.table.setLacksSums(0, lacks)
    pair.offloads.set('device_tso', cuts)
    pair.sendFrom(peer, Buffer.concat([HEADER, frame]))
    pair.step()
    t.same(pair.received(), arrives ? [uncut] : [])
    if (!arrives) drops++
    t.equal(pair.count('dropOversize'), drops)
  }
})
