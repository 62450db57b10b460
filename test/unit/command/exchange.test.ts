import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { exchange } from '../../../src/command/exchange.js'

/** A server that gets a line and answers with these pieces. */
async function answering(t: Test, ...pieces: string[]): Promise<string> {
  const path = join(t.testdir({}), 'socket')
  const server = createServer(async (socket) => {
    await once(socket, 'data')
    for (const piece of pieces) {
      socket.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    socket.end()
  }).listen(path)
  await once(server, 'listening')
  t.teardown(() => server.close())
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
