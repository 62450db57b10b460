/** A real host that becomes a member and starts at once, and the codes that a terminal shows. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { askStatus } from '../../../src/command/client.js'
import { ok, run, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { invite, members, office, program } from '../../support/hosts/office.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { PROGRAM } from '../../support/program.js'
import { readQrCode } from '../../support/qr-text.js'

t.test(
  'the codes on a terminal are read back, and join --now starts in the background by one of them',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(2)
    const [hubHost, alice] = network.hosts
    const { hub } = await office(network, keys, [])
    // script(1) is a terminal.
    const onTerminal = async (words: string) => {
      const command = `${process.execPath} ${PROGRAM} invite ${words} 2>/dev/null`
      const { code, stdout, stderr } = await run(hubHost, 'script', ['-qec', command, '/dev/null'])
      t.equal(code, 0, stderr)
      return stdout.replaceAll('\r', '')
    }
    const phone = await onTerminal('--wireguard phone')
    t.match(phone, /^\[Interface\]\n/)
    t.equal(phone.startsWith(readQrCode(phone)), true, 'the code is the file')
    const shown = await onTerminal('alice --address 10.9.0.9')
    const line = readQrCode(shown)
    t.equal(shown.startsWith(`${line}\n`), true, 'the code is the line')
    const directory = join(keys.path, 'alice')
    const script = `cd ${dirname(directory)} && echo ${line} | ${process.execPath} ${PROGRAM} join --now --directory ${basename(directory)}`
    const { code, stdout, stderr } = await run(alice, 'sh', ['-c', script])
    t.equal(code, 0, stderr)
    const pid = Number(/It runs in the background, as process (\d+)\./.exec(stdout)?.[1])
    t.ok(pid > 1, stdout)
    t.teardown(() => existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGKILL'))
    t.notMatch(stdout, /Start it with/)
    await untilPing(alice, '10.9.0.1')
    t.equal((await alice.run(() => askStatus('office'))).pid, pid)
    process.kill(pid, 'SIGTERM')
    await until('it has ended', () => !existsSync(`/proc/${pid}`))
    await hub.stop()
  },
)

t.test(
  'join --now has a tunnel that runs take the new settings, and does not start a second one',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(2)
    const [hubHost, alice] = network.hosts
    const { hub, running } = await office(network, keys, ['alice'])
    const directory = join(keys.path, 'alice')
    const settings = join(directory, 'office.yaml')
    const { pid } = await running[0].status('office')
    await untilPing(alice, '10.9.0.1')
    /** As the same host by another name. */
    const joinAs = async (before: string, name: string, address: string) => {
      await ok(hubHost, process.execPath, PROGRAM, 'remove', before)
      const line = await invite(hubHost, name, '--address', address)
      return await program(alice, 'join', line, '--now', '--directory', directory)
    }
    const { code, stdout, stderr } = await joinAs('alice', 'alicia', '10.9.0.2')
    t.equal(code, 0, stderr)
    t.match(stdout, `It ran already, as process ${pid}, and has taken the new settings.`)
    await untilPing(alice, '10.9.0.1')
    await until('the new member is up', async () =>
      (await members(hubHost)).some((it) => it.name === 'alicia' && it.way === 'direct'),
    )

    const moved = await joinAs('alicia', 'alison', '10.9.0.77')
    t.equal(moved.code, 1)
    t.match(
      moved.stderr,
      `its tunnel (process ${pid}) takes local only when it starts; end it with: kill ${pid}; then start it with: udptun-fast start --config ${settings}`,
    )
    await running[0].stop()
    const again = await startTunnel(alice, '--config', settings)
    await untilPing(hubHost, '10.9.0.77')
    await Promise.all([hub, again].map((it) => it.stop()))
  },
)
