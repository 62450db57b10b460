/** A real host that becomes a member and starts at once, and the codes that a terminal shows. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import { askStatus } from '../../../src/command/client.js'
import { hostState } from '../../support/hosts/host-state.js'
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
    const { hub, file } = await office(network, keys, [])
    const before = await hostState(alice)
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
    t.match(stdout, /End it with: udptun-fast down office\n$/)

    t.comment('down ends it as a signal does; that of the hub runs in the foreground')
    const down = await program(alice, 'down', 'office')
    t.same([down.code, down.stdout, down.stderr], [0, '', ''])
    t.equal((await run(alice, 'ip', ['link', 'show', 'office'])).code, 1, 'the device is gone')
    await until('it has ended', () => !existsSync(`/proc/${pid}`))
    t.same(await hostState(alice), before)
    const again = await program(alice, 'down', 'office')
    t.match([again.code, again.stderr], [1, /no tunnel of this program runs for office here/])
    const hubsPid = (await hub.status('tun0')).pid
    for (const name of ['tun0', 'office', file]) {
      const refused = await program(hubHost, 'down', name)
      t.match([refused.code, refused.stderr], [1, `such as with Ctrl-C, or with: kill ${hubsPid}\n`], name)
    }
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

t.test('down ends what runs in the background, by its settings, whatever its device is called', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { hub } = await office(network, keys, [])
  const directory = join(keys.path, 'alice')
  const settings = join(directory, 'office.yaml')
  const log = join(keys.path, 'log')
  const line = await invite(hubHost, 'alice')
  const withoutNow = await program(alice, 'join', line, '--directory', directory, '--log-file', log)
  t.match([withoutNow.code, withoutNow.stderr], [2, /--log-file is for the tunnel that --now starts/])
  t.notOk(existsSync(directory), 'nothing is done')

  const first = await program(alice, 'join', line, '--directory', directory)
  t.equal(first.code, 0, first.stderr)
  writeFileSync(settings, readFileSync(settings, 'utf8').replace('dev: "office"', 'dev: "vpn9"'))
  const now = ['join', line, '--now', '--directory', directory]
  const pidOf = (stdout: string) => Number(/as process (\d+)\./.exec(stdout)?.[1])
  const kill = (pid: number) => existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGKILL')

  t.comment('a file has the log')
  const withLog = await program(alice, ...now, '--log-file', log)
  t.teardown(() => kill(pidOf(withLog.stdout)))
  t.equal(withLog.code, 0, withLog.stderr)
  t.match(withLog.stdout, ` Its log: ${log}. End it with: `)
  t.notMatch(withLog.stderr, /nobody reads the log/)
  t.match(readFileSync(log, 'utf8'), /"level":30/)

  t.comment('join alone says that it runs')
  const again = await program(alice, 'join', line, '--directory', directory)
  t.equal(again.code, 0, again.stderr)
  t.match(
    again.stdout,
    `It runs already, as process ${pidOf(withLog.stdout)}, with what it had before. Give it what is new with: udptun-fast reload vpn9\n`,
  )
  t.notMatch(again.stdout, /Start it with|If it runs/)
  const ended = await program(alice, 'stop', 'office')
  t.same([ended.code, ended.stderr], [0, ''])

  t.comment('without logger(1) there is no system log')
  const { stdout, stderr, code } = await run(alice, 'env', [
    'PATH=/nowhere',
    process.execPath,
    PROGRAM,
    ...now,
  ])
  t.teardown(() => kill(pidOf(stdout)))
  t.equal(code, 0, stderr)
  t.match(
    stderr,
    /there is no system log here, so nobody reads the log of this tunnel; keep it with --log-file\n/,
  )
  t.match(stdout, /as process \d+\. End it with/)
  const save = await program(alice, 'save', 'vpn9')
  t.match(
    [save.code, save.stderr],
    [1, /not started from a file for wg-quick, so there is none to save it in/],
  )
  t.equal((await program(alice, 'down', settings)).code, 0)
  const gone = await program(alice, 'down', settings)
  t.match([gone.code, gone.stderr], [1, `start one with: udptun-fast start --config ${settings}\n`])
  await until('both have ended', () =>
    [withLog.stdout, stdout].every((it) => !existsSync(`/proc/${pidOf(it)}`)),
  )
  await hub.stop()
})
