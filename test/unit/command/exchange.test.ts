import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { exchange } from '../../../src/command/exchange.js'

/** A server that gets a line and answers with these pieces. */
async function answering(t: Test, ...pieces: string[]): Promise<string> {
  // The path of a Unix socket has no room for tap's folders.
  const folder = mkdtempSync(join(tmpdir(), 'udptun-exchange-'))
  const path = join(folder, 'socket')
  const server = createServer(async (socket) => {
    await once(socket, 'data')
    for (const piece of pieces) {
      socket.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    socket.end()
  }).listen(path)
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })
  return path
}

t.test('texts come before the answer, and empty lines mean nothing', async (t) => {
  const path = await answering(t, '\n{"said":"on', 'e"}\n\n{"said":""}\n{"res', 'ult":{"said":1}}\n\n')
  const said: string[] = []
  t.same(await exchange(path, '{}', (text) => said.push(text)), { result: { said: 1 } })
  t.same(said, ['one', ''])
})

t.test('letters of several bytes may be cut anywhere', async (t) => {
  const path = await answering(t, '{"result":"ä€"}\n')
  t.same(await exchange(path, '{}'), { result: 'ä€' })
})

t.test('no answer is an error', async (t) => {
  for (const pieces of [[], ['{"said":"x"}\n'], ['{"result":']])
    await t.rejects(exchange(await answering(t, ...pieces), '{}'), { message: 'it ends without an answer' })
})
