import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import t, { type Test } from 'tap'
import { PROGRAM } from '../../support/program.js'

/** Indices that no interface has, so that the devices are called as the sockets. */
const FIRST_INDEX = 1_000_000_000

/** Sockets as tunnels on these devices have them. They answer nothing. */
async function socketsOf(t: Test, devices: readonly string[]): Promise<string> {
  const runtime = mkdtempSync(join(tmpdir(), 'udptun-sockets-'))
  const directory = join(runtime, 'udptun-fast')
  mkdirSync(directory)
  const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0]
  for (const [index, device] of devices.entries()) {
    const path = join(directory, `${namespace}-${FIRST_INDEX + index}-${device}.sock`)
    const server = createServer((socket) => socket.on('error', () => {})).listen(path)
    await once(server, 'listening')
    chmodSync(path, 0o600)
    t.teardown(() => server.close())
  }
  for (const it of [runtime, directory]) chmodSync(it, 0o755)
  t.teardown(() => rmSync(runtime, { recursive: true }))
  return runtime
}

const udptun = (runtime: string, args: readonly string[], by: readonly string[] = []) => {
  const [command, ...first] = [...by, process.execPath, PROGRAM]
  return execa(command, [...first, ...args], {
    reject: false,
    input: '',
    env: { NODE_OPTIONS: '', XDG_RUNTIME_DIR: runtime },
  })
}

t.test('with several tunnels, a command says how it itself is told which', async (t) => {
  const runtime = await socketsOf(t, ['lan1', 'lan2'])
  for (const [given, form] of [
    ['status', 'status'],
    ['peers', 'peers'],
    ['fdb', 'fdb'],
    ['reload', 'reload'],
    ['members', 'members'],
    ['report', 'report'],
    ['doctor', 'doctor'],
    ['ping', 'ping --dev'],
    ['ping office', 'ping office --dev'],
    ['invite zz', 'invite zz --dev'],
    ['remove zz', 'remove zz --dev'],
    ['mtu --refresh', 'mtu --refresh --dev'],
  ]) {
    const { stderr, exitCode } = await udptun(runtime, given.split(' '))
    t.match(
      stderr,
      new RegExp(
        `^udptun-fast: several tunnels run here \\((lan1, lan2|lan2, lan1)\\); name one, such as: udptun-fast ${form} lan[12]$`,
      ),
      given,
    )
    t.equal(exitCode, 1, given)
  }
})

t.test(
  'who may not ask a tunnel is not told that there is none',
  { skip: process.getuid?.() !== 0 && 'only root has tunnels that others may not ask' },
  async (t) => {
    const runtime = await socketsOf(t, ['lan1'])
    const somebody = ['setpriv', '--reuid', '65534', '--clear-groups']
    for (const command of ['status', 'peers', 'doctor']) {
      const { stderr, exitCode } = await udptun(runtime, [command], somebody)
      t.equal(stderr, 'udptun-fast: only root may ask the tunnel on lan1; run as root', command)
      t.equal(exitCode, 1, command)
    }
  },
)
