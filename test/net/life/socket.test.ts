/** By which socket a tunnel is asked: after its device was renamed, and where /run cannot be written. */
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ask, listRunning } from '../../../src/command/client.js'
import type { Host } from '../../../src/lab/host.js'
import {
  ok,
  PLAIN,
  PROGRAM,
  pings,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  untilPing,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { inMountNamespace } from '../../support/hosts/names.js'

const READ_ONLY =
  'mount -t tmpfs -o ro none /run && mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200'
const NONE = /^no status socket can be made in \/run\/udptun-fast \(EROFS\).*, so nothing can ask/

function status(host: Host, env: readonly string[], ...args: string[]) {
  return run(host, 'env', [...env, process.execPath, PROGRAM, 'status', ...args])
}

t.test('a device that is renamed is asked by its new name, and another may have the old one', async (t) => {
  using pair = twoHosts()
  const first = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await ok(pair.a, 'ip', 'link', 'set', 'tap0', 'down')
  await ok(pair.a, 'ip', 'link', 'set', 'tap0', 'name', 'lan9')
  await ok(pair.a, 'ip', 'link', 'set', 'lan9', 'up')
  for (const args of [[], ['lan9'], ['--dev', 'lan9']]) {
    const { code, stdout, stderr } = await status(pair.a, [], ...args)
    t.equal(code, 0, stderr)
    t.match(JSON.parse(stdout), { pid: first.pid, device: 'lan9' })
  }
  t.match(await status(pair.a, [], 'tap0'), { code: 1, stderr: /no tunnel runs on tap0 here/ })
  const second = await startTunnel(pair.a, '10.8.0.1', pair.underlay.b, '--listen', '6001')
  t.equal((await second.status()).pid, second.pid)
  t.equal((await first.status('lan9')).pid, first.pid)
  t.same((await pair.a.run(() => listRunning())).sort(), ['lan9', 'tap0'])
  t.match(await status(pair.a, []), {
    code: 1,
    stderr: /several tunnels run here \((lan9, tap0|tap0, lan9)\); name one/,
  })
  await untilPing(pair.a, '10.9.0.2')
  for (const tunnel of [first, second]) t.equal((await tunnel.stop()).code, 0)
  t.same(leftIn(pair.a), [], 'nothing is left')
})

t.test('what killed tunnels leave is removed by the next', async (t) => {
  using pair = twoHosts()
  for (let i = 0; i < 3; i++) {
    const killed = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
    await killed.stop('SIGKILL')
    t.equal(leftIn(pair.a).length, 1)
  }
})

t.test('the device is an argument or a flag', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  for (const command of ['status', 'peers', 'fdb']) {
    const { code, stderr } = await run(pair.a, process.execPath, [PROGRAM, command, 'tap0'])
    t.equal(code, 0, stderr)
  }
  t.match(await run(pair.a, process.execPath, [PROGRAM, 'reload', 'tap0']), {
    code: 1,
    stderr: /started without --config/,
  })
  t.match(await status(pair.a, [], 'wg9'), { code: 1, stderr: /no tunnel runs on wg9 here/ })
  t.match(await status(pair.a, [], 'tap0', '--dev', 'tap1'), {
    code: 2,
    stderr: /"tap0" and --dev tap1 are two devices/,
  })
})

/** The path of a Unix socket has at most 107 bytes. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'run-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** A tunnel for which /run cannot be written. It carries pings, and says once what it does instead. */
async function startElsewhere(
  t: Test,
  env: Record<string, string>,
  says: RegExp,
  wrap: readonly string[] = [],
) {
  const pair = twoHosts()
  t.teardown(() => pair[Symbol.dispose]())
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const launch = { ...inMountNamespace(READ_ONLY, ...wrap), env: { ...process.env, ...env } }
  const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b], [], launch)
  await tunnel.said(/ is up: /)
  await untilPing(pair.a, '10.9.0.2')
  const said = tunnel.log.filter(({ msg }) => /status socket/.test(String(msg)))
  t.equal(said.length, 1, 'said once')
  t.match(said[0].msg, says)
  return { pair, tunnel }
}

t.test('/run is read-only: a tunnel without a socket', async (t) => {
  const { pair, tunnel } = await startElsewhere(t, {}, NONE)
  t.ok(await pings(pair.a, '10.9.0.2'))
  t.equal((await tunnel.stop()).code, 0)
})

for (const variable of ['RUNTIME_DIRECTORY', 'XDG_RUNTIME_DIR'])
  t.test(`/run is read-only, and there is $${variable}`, async (t) => {
    const directory = shortDirectory(t)
    const given = `${variable}=${directory}`
    const { pair, tunnel } = await startElsewhere(
      t,
      { [variable]: directory },
      new RegExp(`so it is in ${directory}.* with ${given}$`),
    )
    const { code, stdout, stderr } = await status(pair.a, [given])
    t.equal(code, 0, stderr)
    t.equal(JSON.parse(stdout).device, 'tap0')
    t.equal((await tunnel.stop()).code, 0)
  })

t.test('a directory of somebody else is not used', async (t) => {
  const directory = shortDirectory(t)
  chownSync(directory, 65_534, 65_534)
  const { tunnel } = await startElsewhere(t, { XDG_RUNTIME_DIR: directory }, NONE)
  t.equal((await tunnel.stop()).code, 0)
})

t.test('not root, but with CAP_NET_ADMIN', async (t) => {
  const directory = shortDirectory(t)
  chownSync(directory, 65_534, 65_534)
  const caps = '-all,+net_admin,+net_raw,+dac_read_search'
  const user = [
    'setpriv',
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    `--inh-caps=${caps}`,
    `--ambient-caps=${caps}`,
  ]
  const { pair, tunnel } = await startElsewhere(
    t,
    { XDG_RUNTIME_DIR: directory },
    /so it is in .*\/udptun-fast; /,
    user,
  )
  const { code, stdout, stderr } = await run(pair.a, 'env', [
    `XDG_RUNTIME_DIR=${directory}`,
    ...user,
    ...PLAIN,
    process.execPath,
    PROGRAM,
    'status',
  ])
  t.equal(code, 0, stderr)
  t.equal(JSON.parse(stdout).device, 'tap0')
  t.equal((await tunnel.stop()).code, 0)
})

t.test('a command reaches the tunnel whose device this namespace has had', async (t) => {
  using pair = twoHosts()
  const tunnel = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await ok(pair.a, 'ip', 'link', 'set', 'tap0', 'netns', String(pair.b.spawn('sleep', ['60']).pid))
  t.match(await pair.a.run(() => ask('tap0', { command: 'status' })), { pid: tunnel.pid })
  t.equal((await tunnel.stop()).code, 0)
})
