import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { listenerOf } from '../../../src/linux/unix-listener.js'

const LISTEN =
  "require('net').createServer().listen(process.argv[1], () => console.log(process.pid, require('fs').readlinkSync('/proc/self')))"

/** A name for a socket has at most 107 bytes. */
function socketPath(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-listener-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return join(folder, 's.sock')
}

t.test('this process', async (t) => {
  const path = socketPath(t)
  t.equal(listenerOf(path), undefined, 'there is no socket')
  const server = createServer().listen(path)
  await once(server, 'listening')
  t.equal(listenerOf(path), process.pid)
  server.close()
  await once(server, 'close')
  t.equal(listenerOf(path), undefined)
  t.equal(listenerOf(`/${'x'.repeat(200)}`), undefined, 'no socket can have such a name')
})

t.test('one in a namespace of processes of its own has another number there', async (t) => {
  const path = socketPath(t)
  const inside = [process.execPath, '-e', LISTEN, path]
  const child = spawn('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', ...inside], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [said] = await once(child.stdout, 'data')
  t.equal(`${said}`.trim(), '1 1')
  const pid = listenerOf(path)
  t.match(readFileSync(`/proc/${pid}/status`, 'utf8'), new RegExp(`^PPid:\\s+${child.pid}$`, 'm'))
})
