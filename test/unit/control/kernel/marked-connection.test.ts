import { once } from 'node:events'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { connectMarked } from '../../../../src/control/kernel/marked-connection.js'

t.test('it is a socket of Node.js: names and addresses, both ways, and an end', async (t) => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  for (const host of ['127.0.0.1', 'localhost']) {
    const socket = await connectMarked(host, port, 0, new AbortController().signal)
    socket.end('there and back')
    t.equal(await text(socket), 'there and back')
  }
  server.close()
  await once(server, 'close')
  const { signal } = new AbortController()
  await t.rejects(connectMarked('127.0.0.1', port, 0, signal), {
    message: /connection refused \(ECONNREFUSED\)/,
  })
  await t.rejects(connectMarked('nowhere.invalid', port, 0, signal), {
    message: /nowhere.invalid is not found/,
  })
})

t.test('whoever does not need it any more does not wait', async (t) => {
  const end = new AbortController()
  // Nobody answers there (RFC 5737), or this host says at once that it has no way.
  const connecting = connectMarked('192.0.2.254', 9, 0, end.signal)
  end.abort()
  await t.rejects(connecting)
})
