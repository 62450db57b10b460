/** Real hosts that become members of a network by the line of an invitation. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Host } from '../../../src/lab/host.js'
import {
  ok,
  PROGRAM,
  type RunningTunnel,
  run,
  startTunnel,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { hubFile, invite, members, office, program } from '../../support/hosts/office.js'
import { KeyFolder, WireGuardGo } from '../../support/hosts/wireguard-go.js'

for (const mode of ['tun', 'tap'] as const)
  t.test(`invite, join, and everybody speaks with everybody: ${mode}`, async (t) => {
    using keys = new KeyFolder()
    using network = new Network(3)
    const [hubHost, alice, bob] = network.hosts
    const file = hubFile(keys, network, mode)
    const hub = await startTunnel(hubHost, '--config', file)
    const running: RunningTunnel[] = []
    const found = `${network.underlay(0)}:5149`
    const twoPlaces = ['--endpoint', 'hub.invalid', '--endpoint', network.underlay(0)]
    for (const [host, name, address, flags] of [
      [alice, 'alice', '10.9.0.2', []],
      [bob, 'bob', '10.9.0.3', twoPlaces],
    ] as const) {
      const line = await invite(hubHost, name, ...flags)
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
      t.match(readFileSync(settings, 'utf8'), `endpoint: "${found}"`, 'the one that has answered')
      running.push(await startTunnel(host, '--config', settings))
    }
    await untilPing(alice, '10.9.0.1')
    await untilPing(alice, '10.9.0.3')
    await untilPing(bob, '10.9.0.2')
    await until('they speak directly', async () => {
      const { peers } = await running[0].status('office')
      return peers.some((it) => it.name === 'bob' && it.source === 'introduction' && it.state === 'up')
    })
    await until('both are seen', async () => (await members(hubHost)).every(({ way }) => way === 'direct'))
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
  t.match((await program(hubHost, 'invite', 'alice')).stderr, /alice was a member before.* use another name/)
  t.notMatch((await program(hubHost, 'invite', 'carol')).stderr, /was a member/)
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

t.test(
  'the preshared key of another network is not written over; that of a killed join is taken',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(2)
    const [hubHost, alice] = network.hosts
    const { hub } = await office(network, keys, [])
    const line = await invite(hubHost, 'alice')
    const directory = join(keys.path, 'alice')
    mkdirSync(directory, { mode: 0o700 })
    const file = (name: string) => join(directory, name)
    const foreign = readFileSync(keys.preshared('foreign'))
    writeFileSync(file('office.psk'), foreign, { mode: 0o600 })
    const joins = (...more: string[]) => program(alice, 'join', line, '--directory', directory, ...more)
    const refused = await joins()
    t.equal(refused.code, 1)
    t.match(refused.stderr, /office\.psk is there, and is of another network; .* with --network\n/)
    t.same(readdirSync(directory), ['office.psk'])
    t.match(
      await members(hubHost),
      [{ name: 'alice', source: 'invitation' }],
      'the introducer was told nothing',
    )
    t.equal((await joins('--network', 'work')).code, 0, 'so the line is still good')
    t.same(readFileSync(file('office.psk')), foreign)

    const own = readFileSync(file('work.psk'))
    const settings = readFileSync(file('work.yaml'), 'utf8')
    rmSync(file('work.yaml'))
    t.equal((await joins('--network', 'work')).code, 0, 'after a join that was killed before its settings')
    t.equal(readFileSync(file('work.yaml'), 'utf8'), settings)
    t.same(readFileSync(file('work.psk')), own)

    rmSync(file('work.yaml'))
    writeFileSync(file('work.psk'), foreign)
    const late = await joins('--network', 'work')
    t.equal(late.code, 1)
    t.match(late.stderr, /work\.psk is there, and is of another network; move it/)
    t.same(readFileSync(file('work.psk')), foreign)
    t.notOk(existsSync(file('work.yaml')))
    rmSync(file('work.psk'))
    t.equal((await joins('--network', 'work')).code, 0)
    t.same(readFileSync(file('work.psk')), own)
    await hub.stop()
  },
)

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
  await until('it is seen', async () => (await members(hubHost))[0].way === 'direct')
  t.match(await members(hubHost), [{ name: 'phone', addresses: ['10.9.0.7'], source: 'member' }])
  await until('it stays', async () => (await members(hubHost))[0].until === null)
  await hub.stop()
})
