import { once } from 'node:events'
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DeviceConfiguration, SetOperation } from '../../../../src/command/wireguard/operation.js'
import { serveWireGuard } from '../../../../src/command/wireguard/server.js'
import { ENOSPC } from '../../../../src/linux/errno.js'
import { until } from '../../../support/hosts/lab.js'

const KEY = 'ab'.repeat(32)

/** A tunnel that keeps what it is asked. */
class Kept {
  readonly sets: SetOperation[] = []
  errno = 0

  get(): DeviceConfiguration {
    const privateKey = new Uint8Array(32).fill(0xab)
    return { privateKey, listenPort: 7, fwmark: 0, peers: [] }
  }

  async set(operation: SetOperation): Promise<number> {
    this.sets.push(operation)
    return this.errno
  }
}

const GOT = `private_key=${KEY}\nlisten_port=7\nerrno=0\n\n`

/** What comes when the pieces are written one after the other, and then the end. */
async function ask(path: string, ...pieces: string[]): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true })
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk as Buffer))
  const ended = new Promise((resolve) => socket.on('close', resolve))
  // The other side may end before it has read all.
  socket.on('error', () => {})
  for (const piece of pieces) {
    await new Promise((resolve) => socket.write(piece, resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.end()
  await ended
  return Buffer.concat(chunks).toString()
}

interface Around {
  readonly kept: Kept
  readonly directory: string
  readonly path: string
  readonly said: string[]
  readonly faults: unknown[]
  start(onRemoved?: () => void): Promise<() => void>
}

function around(t: Test): Around {
  // Not in t.testdir(), because the path of a socket has no more than 107 bytes.
  const directory = mkdtempSync(join(tmpdir(), 'udptun-wg-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const kept = new Kept()
  const said: string[] = []
  const faults: unknown[] = []
  const take = (error: unknown) => void faults.push(error)
  const start = (onRemoved?: () => void) =>
    serveWireGuard('wg7', kept, {
      onFault: take,
      inform: (sentence) => void said.push(sentence),
      directory,
      onRemoved,
    })
  return { kept, directory, path: join(directory, 'wg7.sock'), said, faults, start }
}

t.test('get and set, one after the other, in any pieces', async (t) => {
  const { kept, path, start, said } = around(t)
  const stop = await start()
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(await ask(path, 'get=1\n\n'), GOT)
  t.equal(await ask(path, ...'get=1\n\n'), GOT)
  const set = `set=1\npublic_key=${KEY}\npersistent_keepalive_interval=3\n\n`
  t.equal(await ask(path, ...set), 'errno=0\n\n')
  t.equal(await ask(path, `${set}get=1\n\nset=1\n\n`), `errno=0\n\n${GOT}errno=0\n\n`)
  t.equal(kept.sets.length, 3)
  t.equal(kept.sets[1].peers[0].persistentKeepaliveS, 3)
  stop()
  t.notOk(existsSync(path))
  t.same(said, [])
})

t.test('what is wrong has an errno, and the next operation its answer', async (t) => {
  const { kept, path, start } = around(t)
  const stop = await start()
  t.equal(await ask(path, 'get=1\nx=1\n\n'), 'errno=-22\n\n')
  t.equal(await ask(path, 'set=1\nlisten_port=x\n\nget=1\n\n'), `errno=-22\n\n${GOT}`)
  t.equal(await ask(path, 'set=1\nlisten_port\n\nget=1\n\n'), `errno=-71\n\n${GOT}`)
  t.equal(kept.sets.length, 0)
  kept.errno = ENOSPC
  t.equal(await ask(path, 'set=1\n\n'), 'errno=-28\n\n')
  stop()
})

t.test('whoever speaks something else, or does not end, gets no answer', async (t) => {
  const { kept, path, start, faults } = around(t)
  const stop = await start()
  t.equal(await ask(path, 'GET / HTTP/1.1\n\n'), '')
  t.equal(await ask(path, 'set=1\nlisten_port=9\n'), '', 'an operation that is not whole is not done')
  t.equal(await ask(path, `set=1\n${`public_key=${KEY}\n`.repeat(16_000)}`), '')
  t.equal(kept.sets.length, 0)
  t.equal(await ask(path, 'get=1\n\n'), GOT)
  t.same(faults, [])
  stop()
})

t.test('an error of the tunnel is a fault, and the other side does not wait', async (t) => {
  const { kept, path, start, faults } = around(t)
  const stop = await start()
  kept.set = () => Promise.reject(new Error('no'))
  t.equal(await ask(path, 'set=1\n\nget=1\n\n'), `errno=-5\n\n${GOT}`)
  t.match(faults, [new Error('no')])
  stop()
})

t.test('a socket of a program that was killed is replaced', async (t) => {
  const { path, start, said } = around(t)
  const other = createServer().listen(path)
  await once(other, 'listening')
  const stopNone = await start()
  t.match(said, [/^wg cannot ask this tunnel: another tunnel or program answers at .*wg7\.sock$/])
  stopNone()
  t.ok(existsSync(path), 'the other one keeps it')
  // Node.js removes the file by the name that it had.
  renameSync(path, `${path}.kept`)
  other.close()
  await once(other, 'close')
  renameSync(`${path}.kept`, path)
  const stopSecond = await start()
  t.equal(said.length, 1)
  t.equal(await ask(path, 'get=1\n\n'), GOT)
  stopSecond()
  writeFileSync(path, '')
  const stop = await start()
  t.match(said[1], /no socket can be made at .*wg7\.sock \(EADDRINUSE\)/, 'what is no socket stays')
  stop()
})

t.test('whoever removes the socket is noticed, and nobody else', async (t) => {
  const { directory, path, start } = around(t)
  let removed = 0
  const stop = await start(() => removed++)
  writeFileSync(join(directory, 'other.sock'), '')
  t.equal(await ask(path, 'get=1\n\n'), GOT)
  t.equal(removed, 0)
  rmSync(path)
  await until('it is noticed', () => removed > 0, 20_000)
  stop()
  const before = removed
  const again = await start(() => removed++)
  again()
  t.equal(existsSync(path), false)
  t.equal(removed, before, 'its own end is no removal')
})
