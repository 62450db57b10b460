import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AF_UNIX, MSG_DONTWAIT, SOCK_CLOEXEC, SOCK_DGRAM } from '../../../src/linux/constants.js'
import { bind, close, must, recv, socket } from '../../../src/linux/libc.js'
import { encodeUnixName, NotifySocket } from '../../../src/linux/notify-socket.js'
import { Notifier } from '../../../src/service/notifier.js'

/** A service manager's end: a real socket of the kernel. */
function listen(t: Test, address: string) {
  const name = encodeUnixName(address)
  if (name === undefined) throw new Error(`${address} is no name`)
  const fd = must('socket', () => socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  t.teardown(() => close(fd))
  must('bind', () => bind(fd, name, name.length))
  /** The next message; undefined if none waits. */
  return (): string | undefined => {
    const bytes = Buffer.alloc(4_096)
    const length = recv(fd, bytes, bytes.length, MSG_DONTWAIT)
    return length < 0 ? undefined : bytes.toString('utf8', 0, length)
  }
}

const folder = mkdtempSync(join(tmpdir(), 'udptun-notify-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

for (const address of [join(folder, 'notify'), `@udptun-fast/${process.pid}`]) {
  t.test(
    `what a service manager hears at ${address[0] === '@' ? 'an abstract name' : 'a path'}`,
    async (t) => {
      const next = listen(t, address)
      const notifier = Notifier.fromEnvironment({ NOTIFY_SOCKET: address })
      t.ok(notifier)
      notifier?.status('starting')
      t.equal(next(), 'STATUS=starting')
      notifier?.ready('tap0: up')
      t.equal(next(), 'READY=1\nSTATUS=tap0: up')
      notifier?.status('tap0: up')
      t.equal(next(), undefined, 'what is the same is not said again')
      notifier?.status('tap0:\nREADY=1')
      t.equal(next(), 'STATUS=tap0: READY=1', 'a status stays one line')
      notifier?.feed()
      t.equal(next(), 'WATCHDOG=1')
      const beforeUs = process.hrtime.bigint() / 1_000n
      notifier?.reloading()
      const [, us] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(next() ?? '') ?? []
      t.ok(BigInt(us) >= beforeUs && BigInt(us) <= process.hrtime.bigint() / 1_000n)
      notifier?.stopping()
      t.equal(next(), 'STOPPING=1')
      t.equal(next(), undefined)
    },
  )
}

t.test('a queue that is full loses no message, and nothing waits for it', async (t) => {
  const address = `@udptun-fast/full/${process.pid}`
  const next = listen(t, address)
  const name = encodeUnixName(address)
  if (name === undefined) throw new Error('no name')
  const other = new NotifySocket(name)
  t.teardown(() => other.close())
  let filled = 0
  while (other.send(`X_FILL=${filled}`)) filled++
  t.ok(filled > 0)
  const notifier = Notifier.fromEnvironment({ NOTIFY_SOCKET: address })
  notifier?.ready('up')
  notifier?.feed()
  notifier?.stopping()
  for (let i = 0; i < filled; i++) t.match(next(), /^X_FILL/)
  const said: string[] = []
  const endMs = performance.now() + 20_000
  while (said.length < 2 && performance.now() < endMs) {
    const message = next()
    if (message !== undefined) said.push(message)
    else await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.same(said, ['READY=1\nSTATUS=up', 'STOPPING=1'])
})

t.test('without a service manager, or with one that is gone, nothing happens', async (t) => {
  t.equal(Notifier.fromEnvironment({}), undefined)
  for (const address of ['', 'run/notify', '@', '/', 'vsock:2:1234', `/${'x'.repeat(200)}`])
    t.equal(Notifier.fromEnvironment({ NOTIFY_SOCKET: address }), undefined, address)
  const gone = Notifier.fromEnvironment({ NOTIFY_SOCKET: join(folder, 'gone') })
  gone?.ready('up')
  gone?.feed()
  t.ok(gone)
})
