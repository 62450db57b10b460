import fc from 'fast-check'
import t from 'tap'
import { FlowSocket } from '../../../../src/worker/outbound/flow-socket.js'
import { type Flow, framesOf, PLAIN_FLOW } from '../../../support/frames.js'

const COUNT = 8
const ROOM_BYTES = 2_048

/** Chooses for a frame in memory of its own, at an odd place. */
function socketOf(frame: Uint8Array, bytes = frame.length): number {
  const room = new Uint8Array(ROOM_BYTES)
  room.set(frame, 102)
  return new FlowSocket(new DataView(room.buffer), COUNT).of(102, bytes)
}

const frameOf = (flow: Partial<Flow>, payload = 100) =>
  framesOf({ ...PLAIN_FLOW, ...flow }, [{ payload: new Uint8Array(payload), flags: 0x10 }])[0]

const FLOWS = [4, 6].flatMap((ip) =>
  (['tcp', 'udp'] as const).flatMap((protocol) =>
    ([14, 18] as const).map((l2) => ({ ip, protocol, l2 }) as Partial<Flow>),
  ),
)

t.test('all frames of a flow have one socket, and those of many flows have all of them', async (t) => {
  for (const flow of FLOWS) {
    const sockets = Array.from({ length: 64 }, (_, port) => {
      const ports = [1_000 + port, 443] as const
      const own = [1, 2, 700].map((payload) => socketOf(frameOf({ ...flow, ports, id: payload }, payload)))
      t.equal(new Set(own).size, 1)
      return own[0]
    })
    t.same(
      [...new Set(sockets)].sort(),
      Array.from({ length: COUNT }, (_, index) => index + 1),
      JSON.stringify(flow),
    )
  }
})

t.test('hosts differ, too, and a tag of a VLAN does not', async (t) => {
  const sockets = Array.from({ length: 64 }, (_, host) => socketOf(frameOf({ hosts: [host, 4] })))
  t.equal(new Set(sockets).size, COUNT)
  for (const ports of [[1, 2] as const, [3, 4] as const])
    t.equal(socketOf(frameOf({ ports, l2: 18 })), socketOf(frameOf({ ports, l2: 14 })))
})

t.test('the fragments of a packet go the same way, whatever their ports would be', async (t) => {
  const whole = frameOf({ protocol: 'udp', df: false, ports: [1, 2] })
  const fragment = (flags: number, first: number) => {
    const it = whole.slice()
    new DataView(it.buffer).setUint16(14 + 6, flags)
    it[14 + 20] = first
    return socketOf(it)
  }
  t.equal(
    new Set([fragment(0x2000, 1), fragment(0x2000, 9), fragment(0x20b9, 3), fragment(0x00b9, 4)]).size,
    1,
  )
})

t.test('what is no IP has the socket of its two MACs', async (t) => {
  const arp = (from: number, content: number) => {
    const it = new Uint8Array(60).fill(content)
    it.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, from, 8, 6])
    return socketOf(it)
  }
  t.equal(arp(1, 1), arp(1, 2))
  t.equal(new Set(Array.from({ length: 64 }, (_, from) => arp(from, 0))).size, COUNT)
})

t.test('any bytes have a socket, by what is in the frame only', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 14, maxLength: 200 }),
      fc.constantFrom(0x0800, 0x86dd, 0x8100, 0x0806),
      fc.nat(255),
      (frame, type, behind) => {
        new DataView(frame.buffer).setUint16(12, type)
        const socket = socketOf(frame)
        const other = new Uint8Array(400).fill(behind)
        other.set(frame)
        t.ok(socket >= 1 && socket <= COUNT)
        return type === 0x8100 || socketOf(other, frame.length) === socket
      },
    ),
  )
})
