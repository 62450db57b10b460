import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isListening } from '../../../src/command/exchange.js'
import { isSocket, listenAt } from '../../../src/command/unix-socket.js'

function folder(t: Test): string {
  // Not in t.testdir(), because the path of a socket has no more than 107 bytes.
  const directory = mkdtempSync(join(tmpdir(), 'udptun-unix-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const echo = () => createServer((socket) => socket.pipe(socket))

async function answers(path: string): Promise<boolean> {
  const socket = connect(path)
  socket.write('x')
  const [chunk] = await once(socket, 'data')
  socket.destroy()
  return String(chunk) === 'x'
}

t.test('a socket of mode 0600 answers, and is gone when it is closed', async (t) => {
  const directory = folder(t)
  const path = join(directory, 'a.sock')
  const close = await listenAt(echo(), path)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.ok(isSocket(path))
  t.ok(await answers(path))
  t.same(readdirSync(directory), ['a.sock'], 'its first name is gone')
  close()
  t.same(readdirSync(directory), [])
})

t.test('whenever there is a socket of this name, it takes connections', async (t) => {
  const directory = folder(t)
  const path = join(directory, 'a.sock')
  // Another process, which connects as soon as the name is there, as wg(8) might.
  const child = fork(new URL('../../support/connects-at-once.js', import.meta.url), [path], {
    execArgv: [],
  })
  await once(child, 'message')
  for (let round = 0; round < 50; round++) {
    const close = await listenAt(echo(), path)
    await new Promise((resolve) => setImmediate(resolve))
    close()
  }
  child.send('end')
  const [{ connected, refused }] = await once(child, 'message')
  t.equal(refused, 0)
  t.comment(`${connected} connections`)
  child.disconnect()
})

t.test('what a killed program has left is replaced; a program that answers is not', async (t) => {
  const path = join(folder(t), 'a.sock')
  const stale = await listenAt(echo(), path)
  await t.rejects(listenAt(echo(), path), { code: 'EADDRINUSE' })
  t.ok(await answers(path))
  stale()
  const child = fork(new URL('../../support/listens-and-dies.js', import.meta.url), [path], { execArgv: [] })
  await once(child, 'exit')
  t.ok(isSocket(path))
  t.notOk(await isListening(path))
  const close = await listenAt(echo(), path)
  t.ok(await answers(path))
  close()
  t.notOk(isSocket(path))
})

t.test('a file that is no socket stays', async (t) => {
  const directory = folder(t)
  const path = join(directory, 'a.sock')
  writeFileSync(path, 'mine')
  await t.rejects(listenAt(echo(), path), { code: 'EADDRINUSE' })
  t.same(readdirSync(directory), ['a.sock'], 'and nothing else is left')
  await t.rejects(listenAt(echo(), join(directory, 'none', 'a.sock')), { code: 'ENOENT' })
})

t.test("a socket that took this one's name stays", async (t) => {
  const path = join(folder(t), 'a.sock')
  const close = await listenAt(echo(), path)
  rmSync(path)
  const closeOther = await listenAt(echo(), path)
  close()
  t.ok(await answers(path))
  closeOther()
  t.notOk(isSocket(path))
})
