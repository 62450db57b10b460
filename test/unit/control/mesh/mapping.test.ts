import t from 'tap'
import { Mapping } from '../../../../src/control/mesh/mapping.js'

const GATEWAY = '10.0.0.1'
const PORT = 5149

/** A mapping, and the sockets that it has opened. Each is connected from the address that `source` has then. */
function made() {
  const time = { nowMs: 0 }
  const next: { source: string | undefined } = { source: '10.0.0.2' }
  const sockets: { source: string | undefined; sent: Uint8Array[]; isClosed: boolean }[] = []
  const clock = { nowMs: () => time.nowMs, bootMs: () => time.nowMs } as never
  const network = {
    openGateway: () => {
      const socket = {
        source: next.source,
        sent: [] as Uint8Array[],
        isClosed: false,
        send: (bytes: Uint8Array) => void socket.sent.push(bytes),
        close: () => {
          socket.isClosed = true
        },
      }
      sockets.push(socket)
      return socket
    },
  } as never
  const log = { info: () => {} } as never
  const mapping = new Mapping({ platform: { clock, network, random: (bytes) => Buffer.alloc(bytes) }, log })
  const look = (seconds: number, ...addresses: string[]) => {
    for (let second = 0; second < seconds; second++) {
      time.nowMs += 1_000
      mapping.look({ gateway: GATEWAY, port: PORT, addresses })
    }
  }
  return { mapping, look, next, sockets, open: () => sockets.filter(({ isClosed }) => !isClosed) }
}

/** The address of the client in a MAP request of PCP (RFC 6887, 7.1). */
const clientsOf = (sent: Uint8Array[]) => sent.map((bytes) => [...bytes.subarray(20, 24)].join('.'))

t.test('when this host has another address, the router is asked for that', async (t) => {
  const { look, next, sockets, open } = made()
  look(2, '10.0.0.2', 'fe80::1%2')
  look(2, '10.0.0.2', '172.17.0.1')
  t.equal(sockets.length, 1, 'an address beside it changes nothing')
  next.source = '10.0.0.9'
  look(2, '10.0.0.9')
  t.equal(sockets.length, 2)
  t.same(
    open().map(({ sent }) => clientsOf(sent)),
    [['10.0.0.9']],
  )
})

t.test('the address of a bridge is not among those of this host, and it stays', async (t) => {
  const { look, sockets } = made()
  look(60, '172.17.0.1')
  t.equal(sockets.length, 1)
})

t.test('a socket that could not be connected is opened anew', async (t) => {
  const { look, next, sockets, open } = made()
  next.source = undefined
  look(10, '10.0.0.2')
  t.ok(sockets.length > 1 && sockets.length < 5, `${sockets.length} sockets in 10 s`)
  next.source = '10.0.0.2'
  look(10, '10.0.0.2')
  t.equal(open().length, 1)
  t.same(clientsOf(open()[0].sent)[0], '10.0.0.2')
})
