/** Real hosts that become members of a network by the line of an invitation. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { MemberReport } from '../../../src/control/members/report.js'
import type { Host } from '../../../src/lab/host.js'
import { ok, PROGRAM, RunningTunnel, run, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder, WireGuardGo } from '../../support/hosts/wireguard-go.js'

const program = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, ...args])

/** A file of settings of an introducer that knows nobody. */
function hubFile(keys: KeyFolder, network: Network, mode: 'tap' | 'tun'): string {
  const { file } = keys.make('hub')
  return keys.write(
    'office.yaml',
    [
      `mode: ${mode}`,
      `local: [${network.overlay(0)}/24]`,
      `private_key_file: ${file}`,
      'introduce: true',
    ].join('\n'),
  )
}

async function invite(host: Host, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await program(host, 'invite', ...args)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

async function members(host: Host): Promise<MemberReport[]> {
  return JSON.parse(await ok(host, process.execPath, PROGRAM, 'members'))
}

for (const mode of ['tun', 'tap'] as const)
  t.test(`invite, join, and everybody speaks with everybody: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const [hubHost, alice, bob] = network.hosts
    const file = hubFile(keys, network, mode)
    const hub = await startTunnel(hubHost, '--config', file)
    const running: RunningTunnel[] = []
    for (const [host, name, address] of [
      [alice, 'alice', '10.9.0.2'],
      [bob, 'bob', '10.9.0.3'],
    ] as const) {
      const line = await invite(hubHost, name)
      t.match(line, /^udptun\.[\w-]+$/)
      const directory = join(keys.path, name)
      const { code, stdout, stderr } = await program(host, 'join', line, '--directory', directory)
      t.equal(code, 0, stderr)
      t.match(stderr, /other users of this host may have seen the line/)
      t.match(stdout, new RegExp(`This host is ${name}, a member of office`))
      const settings = join(directory, 'office.yaml')
      for (const it of [settings, join(directory, 'office.key'), join(directory, 'office.psk')])
        t.equal(statSync(it).mode & 0o777, 0o600, it)
      t.match(readFileSync(settings, 'utf8'), `local: ["${address}/24"]`)
      running.push(await startTunnel(host, '--config', settings))
    }
    await untilPing(alice, '10.9.0.1')
    await untilPing(alice, '10.9.0.3')
    await untilPing(bob, '10.9.0.2')
    await until('they speak directly', async () => {
      const { peers } = await running[0].status('office')
      return peers.some((it) => it.name === 'bob' && it.source === 'introduction' && it.state === 'up')
    })
    const all = await members(hubHost)
    t.match(
      all.map(({ name, source, way, addresses }) => ({ name, source, way, addresses })),
      [
        { name: 'alice', source: 'member', way: 'direct', addresses: ['10.9.0.2'] },
        { name: 'bob', source: 'member', way: 'direct', addresses: ['10.9.0.3'] },
      ],
    )
    await Promise.all([hub, ...running].map((it) => it.stop()))
  })

/** A hub, and members with these names on the next hosts. */
async function office(network: Network, keys: KeyFolder, names: readonly string[]) {
  const [hubHost, ...others] = network.hosts
  const file = hubFile(keys, network, 'tun')
  const hub = await startTunnel(hubHost, '--config', file)
  const running: RunningTunnel[] = []
  for (const [at, name] of names.entries()) {
    const line = await invite(hubHost, name)
    await ok(others[at], process.execPath, PROGRAM, 'join', line, '--directory', join(keys.path, name))
    running.push(await startTunnel(others[at], '--config', join(keys.path, name, 'office.yaml')))
  }
  return { file, hub, running }
}

t.test('who is removed is spoken to by nobody within two seconds', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [hubHost, alice, bob] = network.hosts
  const { hub, running } = await office(network, keys, ['alice', 'bob'])
  await untilPing(alice, '10.9.0.3')
  await untilPing(bob, '10.9.0.2')
  const startedMs = performance.now()
  await ok(hubHost, process.execPath, PROGRAM, 'remove', 'alice')
  const knows = async (it: RunningTunnel) =>
    (await it.status(it === hub ? 'tun0' : 'office')).peers.some(({ name }) => name === 'alice')
  await until('nobody knows her', async () => !(await knows(hub)) && !(await knows(running[1])))
  const ms = Math.round(performance.now() - startedMs)
  t.comment(`nobody knew her ${ms} ms after the command began`)
  t.ok(ms < 2_000 + 8_000, 'also on a slow machine')
  const { code } = await run(alice, 'ping', ['-c', '3', '-i', '0.2', '-W', '1', '10.9.0.3'])
  t.not(code, 0, 'her session is of no use')
  t.match((await program(hubHost, 'remove', 'alice')).stderr, /there is no member alice .* there are: bob/)
  t.match((await program(hubHost, 'remove', 'hub')).stderr, /there is no member hub/)
  await Promise.all([hub, ...running].map((it) => it.stop()))
})

t.test('a line serves one host, until its end; and one sentence says what is wrong with it', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(3)
  const [hubHost, alice, thief] = network.hosts
  const { hub } = await office(network, keys, [])
  const joins = (host: Host, line: string, directory: string) =>
    program(host, 'join', line, '--directory', join(keys.path, directory))
  const line = await invite(hubHost, 'alice')
  t.equal((await joins(alice, line, 'alice')).code, 0)
  const key = readFileSync(join(keys.path, 'alice', 'office.key'), 'utf8')
  const settings = readFileSync(join(keys.path, 'alice', 'office.yaml'), 'utf8')
  t.equal((await joins(alice, line, 'alice')).code, 0, 'again, for the same host')
  t.equal(readFileSync(join(keys.path, 'alice', 'office.key'), 'utf8'), key)
  t.equal(readFileSync(join(keys.path, 'alice', 'office.yaml'), 'utf8'), settings)
  t.equal((await members(hubHost)).length, 1)

  const stolen = await joins(thief, line, 'thief')
  t.equal(stolen.code, 1)
  t.match(stolen.stderr, /this line was used before, by a host with another key/)
  t.notOk(existsSync(join(keys.path, 'thief', 'office.yaml')), 'no half of a member')
  const short = await invite(hubHost, 'late', '--hours', '0.0003')
  // 0.0003 hours, rounded up to a second.
  await sleep(2_500)
  t.match(
    (await joins(thief, short, 'late')).stderr,
    /this line has expired at .*, says .*; ask there for another one/,
  )
  const first = await invite(hubHost, 'bob')
  const second = await invite(hubHost, 'bob')
  t.match(
    (await joins(thief, first, 'bob')).stderr,
    /good no more: .* has taken bob out, or made another line/,
  )
  t.equal((await joins(thief, second, 'bob')).code, 0)

  const other = await invite(hubHost, 'carol')
  writeFileSync(join(keys.path, 'thief', 'office.yaml'), 'local: [10.1.0.1]\nremote: host-b\n')
  t.match((await joins(thief, other, 'thief')).stderr, /office.yaml is there, and is of another network/)
  t.equal(
    readFileSync(join(keys.path, 'thief', 'office.yaml'), 'utf8'),
    'local: [10.1.0.1]\nremote: host-b\n',
  )
  t.match((await joins(thief, other.slice(0, 99), 'x')).stderr, /is cut/)
  t.match(
    (await joins(thief, `${other.slice(0, 40)}AAAA${other.slice(44)}`, 'x')).stderr,
    /changed on the way/,
  )
  const { stderr } = await program(hubHost, 'invite', 'alice')
  t.match(stderr, /alice is a member already/)
  for (const name of ['a.b', 'localhost', '-a', 'a b'])
    t.match((await program(hubHost, 'invite', '--', name)).stderr, /is not a member's name/, name)
  t.match(
    (await program(hubHost, 'invite', 'dave', '--address', '10.9.0.2')).stderr,
    /10.9.0.2 is taken, by alice/,
  )
  t.match((await program(hubHost, 'invite', 'dave', '--address', '10.8.0.2')).stderr, /in no overlay network/)
  t.match((await program(alice, 'invite', 'eve')).stderr, /no tunnel runs here/)
  await hub.stop()
})

t.test('a client of WireGuard, by the file that it gets', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, phone] = network.hosts
  const { hub } = await office(network, keys, [])
  const conf = await invite(hubHost, '--wireguard', 'phone', '--address', '10.9.0.7')
  t.match(conf, /AllowedIPs = 10.9.0.0\/24\n/)
  const wg = keys.write('wg.conf', conf.replace(/^Address.*\n/m, ''))
  const address = /^Address = (\S+)/m.exec(conf)?.[1] ?? ''
  t.equal(address, '10.9.0.7/24')
  await using client = await WireGuardGo.start(phone, address, 'fwmark', '0')
  await ok(phone, 'wg', 'setconf', client.device, wg)
  await untilPing(phone, '10.9.0.1', 20_000)
  await untilPing(hubHost, '10.9.0.7', 20_000)
  t.match(await members(hubHost), [
    { name: 'phone', addresses: ['10.9.0.7'], source: 'member', way: 'direct' },
  ])
  await until('it stays', async () => (await members(hubHost))[0].until === null)
  await hub.stop()
})

const KILLED = fileURLToPath(new URL('../../support/killed-at.js', import.meta.url))

/** Starts a program that kills itself at a step of what it writes to paths with this part. */
async function killedAt(host: Host, step: string, part: string, args: readonly string[]) {
  const node = [
    '-u',
    'NODE_OPTIONS',
    `KILL_AT=${step}`,
    `KILL_PATH=${part}`,
    process.execPath,
    '--import',
    KILLED,
  ]
  return run(host, '/usr/bin/env', [...node, PROGRAM, ...args])
}

t.test('join is killed at every write, and the same line makes the same member', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { hub } = await office(network, keys, [])
  const line = await invite(hubHost, 'alice')
  const directory = join(keys.path, 'alice')
  let step = 1
  let key: string | undefined
  for (; step < 60; step++) {
    const { code, stderr } = await killedAt(alice, `${step} before`, directory, [
      'join',
      line,
      '--directory',
      directory,
    ])
    const now = existsSync(join(directory, 'office.key'))
      ? readFileSync(join(directory, 'office.key'), 'utf8')
      : undefined
    if (key !== undefined && now !== key) t.fail(`another key after step ${step}`)
    key = now
    const settings = join(directory, 'office.yaml')
    if (existsSync(settings) && !readFileSync(settings, 'utf8').endsWith('introducer: true\n'))
      t.fail('half of it')
    if (code === 0) break
    if (stderr.split('\n').length > 2) t.fail(stderr)
  }
  t.ok(step > 10, `${step - 1} kills`)
  t.equal((await members(hubHost)).length, 1)
  t.same(
    readdirSync(directory).sort(),
    ['office.key', 'office.psk', 'office.yaml'],
    'and nothing else is left',
  )
  const tunnel = await startTunnel(alice, '--config', join(directory, 'office.yaml'))
  await untilPing(alice, '10.9.0.1')
  await Promise.all([hub, tunnel].map((it) => it.stop()))
})

t.test('the introducer is killed at every write, and the same line makes the same member', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { file, hub } = await office(network, keys, [])
  let running = hub
  // It opens a file, writes, synchronises and closes it, and renames it.
  const steps = ['1 before', '2 before', '3 before', '4 before', '5 before', '5 after']
  for (const [at, step] of steps.entries()) {
    const name = `m${at}`
    const line = await invite(hubHost, name)
    await running.stop('SIGKILL')
    const killing = new RunningTunnel(hubHost, ['--config', file, '--warm-up', 'off'], [], {
      command: [
        '/usr/bin/env',
        `KILL_AT=${step}`,
        'KILL_PATH=members-',
        process.execPath,
        '--import',
        KILLED,
        PROGRAM,
      ],
    })
    await killing.said(/ is up: /)
    const joining = program(alice, 'join', line, '--directory', join(keys.path, name))
    await killing.ended
    running = await startTunnel(hubHost, '--config', file)
    const { code, stderr } = await joining
    t.equal(code, 0, `killed ${step}: ${stderr}`)
    const all = await members(hubHost)
    t.equal(all.length, at + 1)
    t.equal(all.filter((it) => it.name === name).length, 1)
  }
  await running.stop()
})
