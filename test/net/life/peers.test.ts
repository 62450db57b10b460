import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import type { PeerStatus } from '../../../src/control/status.js'
import { connect, Host } from '../../../src/lab/host.js'
import { LIBC } from '../../../src/linux/abi.js'
import {
  PROGRAM,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import {
  asksItsHost,
  endNames,
  inMountNamespace,
  NAME,
  serveNames,
  serveRecords,
  silenceNames,
} from '../../support/hosts/names.js'

t.jobs = 4

/** A file of settings that can be changed: this host, and its peers as lines of YAML. */
function fileOf(t: Test) {
  const path = join(t.testdirName, 'tunnel.yaml')
  mkdirSync(t.testdirName, { recursive: true })
  const write = (...peers: string[]) =>
    writeFileSync(path, ['local: [10.9.0.1]', 'peers:', ...peers.map((line) => `  - ${line}`), ''].join('\n'))
  return { path, write }
}

const reload = (host: Host) => run(host, process.execPath, [PROGRAM, 'reload'])
const names = async (tunnel: RunningTunnel) => (await tunnel.status()).peers.map(({ name }) => name)

// The longest first, so that the others run meanwhile.
t.test(
  'a name with several addresses: the next is tried where one is silent',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    const places = ['192.0.2.21', '192.0.2.22']
    await serveNames(pair.a, ...places)
    const a = new RunningTunnel(pair.a, ['10.9.0.1', NAME], [], asksItsHost(t))
    const { remote } = await a.said(/is up/)
    const [other] = places.filter((place) => !String(remote).startsWith(place))
    await run(pair.b, 'ip', ['addr', 'del', `${pair.underlay.b}/24`, 'dev', 'eth0'])
    pair.b.configure('eth0', [`${other}/24`])
    await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    pair.a.spawn('ping', ['-q', '-i', '0.5', '10.9.0.2'])
    const startedMs = performance.now()
    await a.said(new RegExp(`has moved to ${other}:5149`), 25_000)
    const tookMs = performance.now() - startedMs
    t.ok(tookMs < 16_000, `after ${(tookMs / 1000).toFixed(1)} s`)
    await untilPing(pair.a, '10.9.0.2')
    await sleep(12_000)
    t.equal(a.log.filter(({ msg }) => /has moved/.test(String(msg))).length, 1, 'and that one is kept')
  },
)

for (const how of ['reload', 'SIGHUP'] as const) {
  t.test(
    `${how} applies a changed file, and the peers that stay lose no frame`,
    { buffered: true },
    async (t) => {
      using pair = twoHosts()
      const file = fileOf(t)
      const apply = async (tunnel: RunningTunnel) => {
        if (how === 'SIGHUP') tunnel.child.kill('SIGHUP')
        else t.equal((await reload(pair.a)).code, 0)
      }
      file.write(`{name: b, endpoint: ${pair.underlay.b}}`)
      const a = await startTunnel(pair.a, '--config', file.path)
      await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
      await untilPing(pair.a, '10.9.0.2')
      const ping = run(pair.a, 'ping', ['-q', '-c', '300', '-i', '0.01', '10.9.0.2'])
      const before = (await a.status()).peers[0]
      for (let round = 0; round < 5; round++) {
        file.write(
          `{name: c, endpoint: 192.0.2.3}`,
          `{name: b, endpoint: ${pair.underlay.b}}`,
          '192.0.2.4:7000',
        )
        await apply(a)
        await until('there are three', async () => (await names(a)).length === 3)
        t.same(await names(a), ['c', 'b', '192.0.2.4:7000'], 'in the order of the file')
        file.write(`{name: b, endpoint: ${pair.underlay.b}}`)
        await apply(a)
        await until('there is one', async () => (await names(a)).length === 1)
      }
      t.match((await ping).stdout, / 0% packet loss/)
      const after = (await a.status()).peers[0]
      t.ok(after.outbound.frames > before.outbound.frames, 'its counters go on')
    },
  )
}

t.test('a file that is wrong changes nothing, and is said to be', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const file = fileOf(t)
  file.write(pair.underlay.b)
  const a = await startTunnel(pair.a, '--config', file.path)
  file.write(pair.underlay.b, '{endpont: x}')
  const { code, stderr } = await reload(pair.a)
  t.equal(code, 1)
  t.match(
    stderr,
    `${file.path}:4: peers[1].endpont: there is no setting "endpont" (did you mean "endpoint"?)`,
  )
  a.child.kill('SIGHUP')
  await a.said(/^not reloaded: .*there is no setting "endpont"/)
  t.same(await names(a), [pair.underlay.b])
  writeFileSync(file.path, `local: [10.9.0.7]\nmtu: 1300\npeers: [192.0.2.9]\n`)
  const applied = await reload(pair.a)
  t.same(JSON.parse(applied.stdout), {
    added: ['192.0.2.9'],
    removed: [pair.underlay.b],
    changed: [],
    private_key: false,
    needs_restart: ['local', 'mtu'],
  })
  await a.said(/local, mtu changed in the file, too, and that needs a restart/)
})

t.test('without a file there is nothing to reload', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  const { code, stderr } = await reload(pair.a)
  t.equal(code, 1)
  t.match(
    stderr,
    /this tunnel was started without --config and without --wireguard, so there is no file to read again/,
  )
})

t.test('a peer that has moved in the file is at its new place', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const file = fileOf(t)
  file.write('{name: b, endpoint: 192.0.2.77}')
  await startTunnel(pair.a, '--config', file.path)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  file.write(`{name: b, endpoint: ${pair.underlay.b}}`)
  t.same(JSON.parse((await reload(pair.a)).stdout).changed, ['b'])
  await untilPing(pair.a, '10.9.0.2')
})

t.test('a peer whose name does not resolve does not hold up the others', { buffered: true }, async (t) => {
  using pair = twoHosts()
  const launch = asksItsHost(t)
  const file = fileOf(t)
  await serveNames(pair.a, '192.0.2.99')
  file.write(`{name: b, endpoint: ${pair.underlay.b}}`, 'nobody.test', `{name: late, endpoint: ${NAME}}`)
  const a = new RunningTunnel(pair.a, ['--config', file.path], [], launch)
  await a.said(/is up: .* to 3 peers/)
  await a.said(/"nobody\.test" does not resolve .*carrying on without nobody\.test, and trying again/)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  const at = async (name: string): Promise<PeerStatus | undefined> =>
    (await a.status()).peers.find((peer) => peer.name === name)
  t.match(await at('nobody.test'), {
    endpoint: null,
    trouble: /does not resolve/,
    state: 'new',
    underlay: null,
    mtu_bytes: null,
  })
  t.match(await at('late'), { endpoint: '192.0.2.99:5149', trouble: null })
})

t.test('eight names that no server answers hold up nobody', { buffered: true }, async (t) => {
  using pair = twoHosts()
  // In the order of the file, the good name comes last. /etc/hosts counts, too.
  const dead = Array.from({ length: 8 }, (_, index) => `dead${index}.test`)
  const b = 'good.example'
  const hosts = t.testdir({ hosts: `${pair.underlay.b} ${b}\n`, 'resolv.conf': 'nameserver 127.0.0.1\n' })
  const mounts = ['hosts', 'resolv.conf'].map((file) => `mount --bind '${hosts}/${file}' /etc/${file}`)
  await serveNames(pair.a)
  await silenceNames(pair.a)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  const args = [...dead, b].flatMap((name) => ['--peer', name])
  const startedMs = performance.now()
  const a = new RunningTunnel(pair.a, ['10.9.0.1', ...args], [], inMountNamespace(mounts.join(' && ')))
  await a.said(/is up/)
  const upMs = performance.now() - startedMs
  await a.said(/good\.example is heard/)
  const heardMs = performance.now() - startedMs
  t.comment(`up after ${Math.round(upMs)} ms, heard after ${Math.round(heardMs)} ms`)
  // It was 40 s when each dead name kept a thread of the resolver. Other tests run beside this one. With musl, only two
  // names are looked up at once, and a dead one takes 5 s at first.
  const isMusl = LIBC === 'musl'
  t.ok(
    heardMs < (isMusl ? 60_000 : 10_000),
    `heard after ${Math.round(heardMs)} ms, most of which is the start of node`,
  )
  await sleep(2_000)
  const said = a.log.filter(({ msg }) => /DNS does not answer/.test(String(msg)))
  t.same(said.map(({ peer }) => peer).sort(), isMusl ? [...dead, b] : dead, 'each is said once')
  const { code, tookMs } = await a.stop()
  t.equal(code, 0)
  t.ok(tookMs < 1_500, `it ended ${Math.round(tookMs)} ms after the signal`)
})

t.test('with --wait, several peers of which none is found: one sentence', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await serveNames(pair.a, '192.0.2.99')
  const args = ['10.9.0.1', '--wait', '--peer', 'x.test', '--peer', 'y.test']
  const a = new RunningTunnel(pair.a, args, [], asksItsHost(t))
  const { code, stderr } = await a.ended
  t.equal(code, 1)
  t.match(stderr, /^udptun-fast: the host name "x\.test" does not resolve \(ENOTFOUND\)/)
  t.equal(stderr.trim().split('\n').length, 1, 'and nothing else')
})

t.test('two peers cannot be at one place', { buffered: true }, async (t) => {
  using pair = twoHosts()
  await serveNames(pair.a, pair.underlay.b)
  const args = ['10.9.0.1', '--peer', pair.underlay.b, '--peer', NAME]
  const a = new RunningTunnel(pair.a, args, [], asksItsHost(t))
  await a.said(/host-b\.test is at 192\.0\.2\.2:5149, but the peer 192\.0\.2\.2 is there already/)
  await a.said(/is up/)
  t.match((await a.status()).peers[1], {
    endpoint: null,
    trouble: /but the peer 192\.0\.2\.2 is there already/,
  })
})

t.test('two names that swap their addresses swap them here, too', { buffered: true }, async (t) => {
  using world = threeHosts()
  const { a, b, c } = world
  const names = (atB: string, atC: string) => [`hb.test,${atB}`, `hc.test,${atC}`]
  let server = await serveRecords(a, ...names('192.0.2.2', '198.51.100.2'))
  // It makes the folder anew.
  const launch = asksItsHost(t)
  const file = fileOf(t)
  file.write('{endpoint: hb.test, addresses: [10.9.0.2]}', '{endpoint: hc.test, addresses: [10.9.0.3]}')
  const tunnel = new RunningTunnel(a, ['--config', file.path, '--mode', 'tun'], [], launch)
  await tunnel.said(/is up/)
  const start = (host: Host, own: string, to: string) => startTunnel(host, own, to, '--mode', 'tun')
  let ends = [await start(b, '10.9.0.2', '192.0.2.1'), await start(c, '10.9.0.3', '198.51.100.1')]
  await untilPing(a, '10.9.0.2')
  await untilPing(a, '10.9.0.3')
  await tunnel.said(/hb\.test is heard/)
  await tunnel.said(/hc\.test is heard/)
  await endNames(server)
  await Promise.all(ends.map((end) => end.stop()))
  server = await serveRecords(a, ...names('198.51.100.2', '192.0.2.2'))
  ends = [await start(b, '10.9.0.3', '192.0.2.1'), await start(c, '10.9.0.2', '198.51.100.1')]
  const swappedMs = performance.now()
  await tunnel.said(/hb\.test has moved to 198\.51\.100\.2:5149/, 70_000)
  await tunnel.said(/hc\.test has moved to 192\.0\.2\.2:5149/, 1_000)
  t.comment(`swapped ${Math.round(performance.now() - swappedMs)} ms after the names`)
  await untilPing(a, '10.9.0.2')
  await untilPing(a, '10.9.0.3')
  await sleep(1_500)
  const before = (await tunnel.status('tun0')).drops.not_allowed
  await run(a, 'ping', ['-q', '-c', '20', '-i', '0.05', '10.9.0.2'])
  // What the kernels of the others ask for by themselves (router solicitations) is not allowed.
  t.ok((await tunnel.status('tun0')).drops.not_allowed - before < 5)
  const said = tunnel.log.map(({ msg }) => String(msg))
  t.same(
    said.filter((msg) => /already|is silent|is down/.test(msg)),
    [],
    'nothing is said against it',
  )
})

t.test(
  'peers shows each in a table, with what is wrong, and as JSON in a pipe',
  { buffered: true },
  async (t) => {
    using pair = twoHosts()
    const a = await startTunnel(pair.a, '10.9.0.1', '--peer', pair.underlay.b, '--peer', '192.0.2.3:7000')
    await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
    await a.said(/192\.0\.2\.2 is heard/)
    await until('a keepalive is answered', async () => (await a.status()).peers[0].rtt_ms !== null)
    const piped = await run(pair.a, process.execPath, [PROGRAM, 'peers'])
    t.match(JSON.parse(piped.stdout), [
      { name: '192.0.2.2', state: 'up' },
      { name: '192.0.2.3:7000', state: 'new' },
    ])
    const shell = `stty columns 140; exec ${process.execPath} ${PROGRAM} peers`
    const { stdout } = await run(pair.a, 'script', ['-qec', shell, '/dev/null'])
    const text = stripVTControlCharacters(stdout)
    t.match(text, /peer +state +heard +round trip +endpoint +MTU +to it +from it +dropped/)
    t.match(text, /192\.0\.2\.2 +up +\d+ s ago +[\d.]+ ms +192\.0\.2\.2:5149 +1458/)
    t.match(text, /192\.0\.2\.3:7000 +new/)
    t.match(text, /! 192\.0\.2\.3:7000: nothing has come from it yet/)
  },
)

/** Host a with a cable to each of two others: 192.0.2.0/24 to b, 198.51.100.0/24 to c. */
function threeHosts(mtuToC = 1500) {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new Host(name))
  const cable = (far: Host, net: string, mtuBytes: number) =>
    connect(
      { host: a, device: `to-${far.name}`, addresses: [`${net}.1/24`] },
      { host: far, device: 'eth0', addresses: [`${net}.2/24`] },
      mtuBytes,
    )
  cable(b, '192.0.2', 1500)
  cable(c, '198.51.100', mtuToC)
  const close = () => {
    for (const host of [a, b, c]) host.close()
  }
  return { a, b, c, [Symbol.dispose]: close }
}
