/** All traffic of a host through a tunnel: by rules, without a loop, and nothing is left afterwards. */
import { fstatSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connect } from '../../src/lab/host.js'
import { Program } from '../../src/lab/program.js'
import { hostState, journals } from '../support/hosts/host-state.js'
import { ok, PROGRAM, RunningTunnel, run, startTunnel, until, untilPing } from '../support/hosts/lab.js'
import { asksItsHost, NAME, serveNames } from '../support/hosts/names.js'
import { type Path, pathOf } from '../support/hosts/path.js'
import { KeyFolder, WireGuardGo } from '../support/hosts/wireguard-go.js'

const PORT = 51_820

/** Addresses of host b that only the tunnel leads to. */
const BEHIND = ['203.0.113.9', 'fd99::9'] as const

/** Host `a`, behind a router, with default routes and strict reverse-path filtering; host `b` beyond a link of 1400. */
class Meeting implements Disposable {
  readonly keys = new KeyFolder()
  readonly path: Path = pathOf(1500, 1400)
  readonly own = this.keys.make('a')
  readonly theirs = this.keys.make('b')

  async start(): Promise<this> {
    const { a, b } = this.path
    b.configure('lo', [`${BEHIND[0]}/32`, `${BEHIND[1]}/128`])
    await ok(a, 'ip', 'route', 'flush', 'proto', 'static')
    await ok(a, 'ip', '-6', 'route', 'flush', 'proto', 'static')
    await ok(a, 'ip', 'route', 'add', 'default', 'via', '198.18.0.2')
    await ok(a, 'ip', '-6', 'route', 'add', 'default', 'via', '2001:db8:1::2')
    a.run(() => {
      for (const name of ['all', 'default', 'eth0'])
        writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, '1')
    })
    return this
  }

  /** A file of `a` for wg-quick(8). */
  file(allowed: string, endpoint: string = this.path.underlay.b, ...lines: string[]): string {
    const key = readFileSync(this.own.file, 'utf8').trim()
    return this.keys.write(
      'a.conf',
      `[Interface]\nPrivateKey = ${key}\nAddress = 10.66.0.2/24, fd66::2/64\n${lines.join('\n')}\n[Peer]\nPublicKey = ${this.theirs.publicKey}\nEndpoint = ${endpoint.includes(':') ? `[${endpoint}]` : endpoint}:${PORT}\nAllowedIPs = ${allowed}`,
    )
  }

  far(...flags: string[]): Promise<RunningTunnel> {
    const key = readFileSync(this.theirs.file, 'utf8').trim()
    const path = this.keys.write(
      'b.conf',
      `[Interface]\nPrivateKey = ${key}\nAddress = 10.66.0.1/24, fd66::1/64\nListenPort = ${PORT}\n[Peer]\nPublicKey = ${this.own.publicKey}\nAllowedIPs = 10.66.0.2/32, fd66::2/128`,
    )
    return startTunnel(this.path.b, ...flags, '--wireguard', path)
  }

  [Symbol.dispose](): void {
    this.path[Symbol.dispose]()
    this.keys[Symbol.dispose]()
  }
}

const warnings = ({ log }: RunningTunnel) =>
  log.filter(({ level }) => level === 40 || level === 'warn').map(({ msg }) => String(msg))

const pathMtu = async (tunnel: RunningTunnel) => (await tunnel.status('tun0')).peers[0].path_mtu

t.test('all traffic goes through, and the path MTU is found, also by ICMP', async (t) => {
  using it = await new Meeting().start()
  const { a, b, underlay } = it.path
  await using go = await WireGuardGo.start(
    b,
    '10.66.0.1/24',
    ...['listen-port', String(PORT), 'private-key', it.theirs.file],
    ...['peer', it.own.publicKey, 'allowed-ips', '10.66.0.2/32'],
  )
  t.ok(go.pid)
  const near = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0'))
  await untilPing(a, BEHIND[0], 20_000)
  await until('the path MTU is 1400', async () => (await pathMtu(near))?.bytes === 1400, 20_000)
  t.match((await pathMtu(near))?.how ?? '', /reached/, 'although reverse-path filtering is strict')
  t.match(await ok(a, 'ip', 'route', 'get', BEHIND[0]), /dev tun0 table 51820/)
  t.match(await ok(a, 'ip', 'route', 'get', underlay.b, 'mark', '51820'), /via 198\.18\.0\.2 dev eth0/)
  t.same(warnings(near), [], 'no loop is seen, and no route is missing')
  const { drops, tables, fwmark } = await near.status('tun0')
  t.equal(drops.unreachable ?? 0, 0)
  t.same({ tables, fwmark }, { tables: [51_820], fwmark: 51_820 })
  await near.stop()
})

t.test('both families inside and outside, and the default route changes', async (t) => {
  using it = await new Meeting().start()
  const { a, b, routers, underlay } = it.path
  const [router] = routers
  connect(
    { host: a, device: 'eth1', addresses: ['198.18.100.1/24'] },
    { host: router, device: 'other', addresses: ['198.18.100.2/24'] },
  )
  await ok(b, 'ip', 'route', 'add', '198.18.100.0/24', 'via', '198.18.1.1')
  const far = await it.far()
  for (const endpoint of [underlay.b6, underlay.b]) {
    const near = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0, ::/0', endpoint))
    for (const address of BEHIND) await untilPing(a, address, 20_000)
    await until('the path MTU is 1400', async () => (await pathMtu(near))?.bytes === 1400, 20_000)
    t.same(warnings(near), [], `by ${endpoint} there is no loop, and no route is missing`)
    if (endpoint === underlay.b) {
      await ok(a, 'ip', 'route', 'replace', 'default', 'via', '198.18.100.2')
      await until(
        'main follows',
        async () => {
          const [{ underlay }] = (await near.status('tun0')).peers
          return underlay?.interface === 'eth1'
        },
        20_000,
      )
      await untilPing(a, BEHIND[0], 20_000)
      await until(
        'the other end follows',
        async () => {
          const [{ endpoint }] = (await far.status('tun0')).peers
          return endpoint?.startsWith('198.18.100.1:') ?? false
        },
        20_000,
      )
      t.same(warnings(near), [])
    }
    t.equal((await near.status('tun0')).faults.count, 0)
    await near.stop()
  }
  await far.stop()
})

t.test('the device is set down and up: routes and addresses come back, and the log says it', async (t) => {
  using it = await new Meeting().start()
  const { a } = it.path
  const far = await it.far()
  const near = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0, ::/0'))
  for (const address of BEHIND) await untilPing(a, address, 20_000)
  const routes = async () => {
    const show = ['route', 'show', 'table', 'all', 'dev', 'tun0']
    return [await ok(a, 'ip', '-4', ...show), await ok(a, 'ip', '-6', ...show)]
  }
  const before = await routes()
  const said = (pattern: RegExp) => warnings(near).filter((it) => pattern.test(it)).length

  await ok(a, 'ip', 'link', 'set', 'tun0', 'down')
  await near.said(/^tun0 is down, so nothing passes/)
  await near.said(/^tun0 is down, and so .* by 0\.0\.0\.0\/0, ::\/0: traffic goes out .*unencrypted$/)
  t.same((await near.status('tun0')).missing_routes, ['0.0.0.0/0', '::/0'])
  const { code, stdout } = await run(a, process.execPath, [PROGRAM, 'doctor'])
  t.equal(code, 1)
  t.match(stdout, /"id":\s*"device\.down"/)
  await ok(a, 'ip', 'link', 'set', 'tun0', 'up')
  await near.said(/^tun0 is up again$/)
  for (const address of BEHIND) await untilPing(a, address, 20_000)
  t.match(await ok(a, 'ip', '-6', 'addr', 'show', 'dev', 'tun0'), /inet6 fd66::2\/64 /)
  t.same(await routes(), before)
  t.equal(said(/^routes by tun0 to 0\.0\.0\.0\/0, ::\/0 had been removed, and are made again$/), 1)

  t.comment('so fast that nobody has seen it; then by hand')
  await sleep(1_000)
  await ok(a, 'sh', '-c', 'ip link set tun0 down; ip link set tun0 up')
  for (const address of BEHIND) await untilPing(a, address, 20_000)
  await until('it is said again', () => said(/are made again$/) === 2)
  await ok(a, 'ip', 'route', 'flush', 'table', '51820')
  await until('it is said again', () => said(/are made again$/) === 3)
  t.match(await ok(a, 'ip', 'route', 'get', BEHIND[0]), /dev tun0 table 51820/)
  t.match(await near.status('tun0'), { faults: { count: 0 }, missing_routes: [] })
  await near.stop()
  await far.stop()
})

t.test('two halves of everything, around the endpoint', async (t) => {
  using it = await new Meeting().start()
  const { a } = it.path
  const far = await it.far()
  const path = it.file('0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1')
  const near = await startTunnel(a, '--wireguard', path)
  for (const address of BEHIND) await untilPing(a, address, 20_000)
  t.same(warnings(near), [])
  t.same((await near.status('tun0')).tables, [254, 51_820])
  await near.stop()
  await far.stop()
})

t.test('nothing is left after SIGTERM; after SIGKILL the next start takes back what is left', async (t) => {
  using it = await new Meeting().start()
  const { a } = it.path
  const [before, noted] = [await hostState(a), journals()]
  const path = it.file('0.0.0.0/0, ::/0, 10.77.0.0/16', undefined, 'FwMark = 0x77')
  const first = await startTunnel(a, '--wireguard', path)
  const during = await hostState(a)
  for (const part of ['routes', 'rules', 'firewall', 'srcValidMark'] as const)
    t.not(during[part], before[part], `${part} change`)
  t.match(during.rules, /not from all fwmark 0x77 lookup 119/)
  await first.stop()
  t.same(await hostState(a), before, 'after SIGTERM')
  t.same(journals(), noted)

  const second = await startTunnel(a, '--wireguard', path)
  second.child.kill('SIGKILL')
  await second.ended
  const left = await hostState(a)
  for (const part of ['rules', 'srcValidMark'] as const) t.equal(left[part], during[part])
  t.match(left.firewall, /table ip6 udptun-fast-tun0/)
  // Somebody else makes the same since.
  await ok(a, 'ip', 'rule', 'add', 'lookup', '99')
  const third = await startTunnel(a, '--wireguard', path, '--table', 'off')
  await third.said(/taken back what a killed tunnel had left on this host: 4 rules, .*1 settings/)
  t.match((await hostState(a)).rules, /lookup 99/, "what is others' stays")
  await third.stop()
  await ok(a, 'ip', 'rule', 'del', 'lookup', '99')
  t.same(await hostState(a), before, 'after the next start')
  t.same(journals(), noted)
})

t.test('two full tunnels: the last one restores what was there before the first', async (t) => {
  using it = await new Meeting().start()
  const { a } = it.path
  const before = await hostState(a)
  const first = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0'))
  const during = await hostState(a)
  const config = it.keys.write(
    'second.yaml',
    'peers: [{endpoint: 198.18.1.9, prefixes: [0.0.0.0/0]}]\nlocal: [10.67.0.2/24]\nmode: tun\ndev: tun1\nlisten: 0',
  )
  const second = await startTunnel(a, '--config', config)
  t.match((await hostState(a)).rules, /fwmark 0xca6d lookup 51821/)
  await first.stop()
  t.equal((await hostState(a)).srcValidMark, during.srcValidMark, 'the second one needs it')
  await second.stop()
  t.same(await hostState(a), before)
})

for (const [type, family] of [
  ['blackhole', '-4'],
  ['unreachable', '-4'],
  ['prohibit', '-6'],
] as const)
  t.test(
    `a table with a route of type ${type} (${family}) is not empty, so the next one is taken`,
    async (t) => {
      using it = await new Meeting().start()
      const { a } = it.path
      await ok(a, 'ip', family, 'route', 'add', type, 'default', 'table', '51820')
      const before = await hostState(a)
      const near = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0, ::/0'))
      t.same((await near.status('tun0')).tables, [51_821])
      for (const [index, flag] of ['-4', '-6'].entries())
        t.match(await ok(a, 'ip', flag, 'route', 'get', BEHIND[index]), /dev tun0 table 51821/)
      t.same(warnings(near), [])
      await near.stop()
      t.same(await hostState(a), before)
    },
  )

t.test("by the kernel's own datapath", async (t) => {
  using it = await new Meeting().start()
  const { a, b, underlay } = it.path
  const common = 'mode: tun\ndatapath: kernel'
  const far = await startTunnel(
    b,
    ...['--datapath', 'kernel', '--config'],
    it.keys.write(
      'b.yaml',
      `${common}\nlocal: [10.66.0.1/24]\npeers: [{endpoint: ${underlay.a}, addresses: [10.66.0.2]}]`,
    ),
  )
  const near = await startTunnel(
    a,
    ...['--datapath', 'kernel', '--config'],
    it.keys.write(
      'a.yaml',
      `${common}\nlocal: [10.66.0.2/24]\npeers: [{endpoint: ${underlay.b}, prefixes: [0.0.0.0/0]}]`,
    ),
  )
  await untilPing(a, BEHIND[0], 20_000)
  for (const tunnel of [near, far])
    await until(
      'the kernel carries',
      async () => {
        await untilPing(a, BEHIND[0], 20_000)
        return (await tunnel.status('tun0')).peers[0].datapath.by === 'kernel'
      },
      20_000,
    )
  const before = (await near.status('tun0')).outbound.frames
  await ok(a, 'ping', '-c', '20', '-i', '0.01', BEHIND[0])
  t.ok((await near.status('tun0')).outbound.frames >= before + 20)
  t.same(
    warnings(near).filter((it) => !/not private/.test(it)),
    [],
  )
  await near.stop()
  await far.stop()
})

t.test('an underlay of VXLAN, whose own packets have the mark, is no loop', async (t) => {
  using it = await new Meeting().start()
  const { a, b, underlay } = it.path
  // The answers of a VXLAN come from another port than the questions went to, so no filter knows them as answers.
  a.run(() => {
    for (const name of ['all', 'eth0']) writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, '0')
  })
  for (const [host, remote, address] of [
    [a, underlay.b, '172.30.0.1/24'],
    [b, underlay.a, '172.30.0.2/24'],
  ] as const) {
    await ok(
      host,
      'ip',
      'link',
      'add',
      'vx0',
      'type',
      'vxlan',
      'id',
      '7',
      'remote',
      remote,
      'dstport',
      '4789',
    )
    host.configure('vx0', [address], { mtuBytes: 1350 })
  }
  const far = await it.far()
  const near = await startTunnel(a, '--wireguard', it.file('0.0.0.0/0', '172.30.0.2'))
  await untilPing(a, BEHIND[0], 20_000)
  t.same(warnings(near), [])
  t.equal((await near.status('tun0')).peers[0].underlay?.interface, 'vx0')
  await near.stop()
  await far.stop()
})

t.test('all traffic waits for a peer whose name cannot be asked for yet', async (t) => {
  using it = await new Meeting().start()
  const { a, underlay } = it.path
  const before = await hostState(a)
  const far = await it.far()
  const args = ['--wireguard', it.file('0.0.0.0/0', NAME), '--warm-up', 'off', '--datapath', 'workers']
  const near = new RunningTunnel(a, args, [], asksItsHost(t))
  await near.said(/ is up: /)
  await near.said(/all traffic to tun0 wait until host-b\.test:51820 is found/)
  t.equal((await hostState(a)).rules, before.rules)
  await serveNames(a, underlay.b)
  await untilPing(a, BEHIND[0], 30_000)
  t.match((await hostState(a)).rules, /not from all fwmark 0xca6c lookup 51820/)
  await near.stop()
  t.same(await hostState(a), before)
  await far.stop()
})

t.test('a reload makes and takes back a default route', async (t) => {
  using it = await new Meeting().start()
  const { a } = it.path
  const far = await it.far()
  const near = await startTunnel(a, '--wireguard', it.file('10.66.0.0/24, fd66::/64'))
  const before = await hostState(a)
  const reload = async (allowed: string, count: number) => {
    it.file(allowed)
    near.child.kill('SIGHUP')
    await until(
      'it is read again',
      () => near.log.filter(({ msg }) => /^reloaded/.test(String(msg))).length === count,
      20_000,
    )
  }
  await reload('0.0.0.0/0', 1)
  await untilPing(a, BEHIND[0], 20_000)
  await reload('10.66.0.0/24, fd66::/64', 2)
  t.same(await hostState(a), before)
  await untilPing(a, '10.66.0.1', 20_000)
  t.same(warnings(near), [])
  await near.stop()
  await far.stop()
})

t.test(
  'another mark by wg(8): the rules follow, and nothing goes out by the old default route',
  async (t) => {
    using it = await new Meeting().start()
    const { a } = it.path
    await it.far('--dev', 'far0')
    const state = await hostState(a)
    const file = it.file('0.0.0.0/0, ::/0')
    // All hosts share /var/run/wireguard, so the name is that of no other.
    const device = `ft${fstatSync(a.namespace.fd).ino}`
    const near = await startTunnel(a, '--dev', device, '--wireguard', file)
    for (const address of BEHIND) await untilPing(a, address, 20_000)
    // What leaves for there beside the tunnel.
    const leaks = new Program(a, 'tcpdump', [
      '-nli',
      'eth0',
      `dst host ${BEHIND[0]} or dst host ${BEHIND[1]}`,
    ])
    await until('tcpdump listens', () => /listening on/.test(leaks.stderr))
    const pinging = BEHIND.map((address) => a.spawn('ping', ['-i', '0.02', address]))
    const stripped = it.keys.write('stripped.conf', await ok(a, process.execPath, PROGRAM, 'strip', file))
    for (const [title, mark, ...args] of [
      ['another one', 0x1234, 'set', device, 'fwmark', '0x1234'],
      ['none, as of a file that has none', 0x1234, 'syncconf', device, stripped],
      ['and again another one', 4_321, 'set', device, 'fwmark', '4321'],
    ] as const) {
      await ok(a, 'wg', ...args)
      await until('the rules follow', async () => {
        const { tables, fwmark } = await near.status(device)
        return fwmark === mark && tables.join() === String(mark)
      })
      for (const [address, family] of [
        [BEHIND[0], '-4'],
        [BEHIND[1], '-6'],
      ] as const) {
        t.match(
          await ok(a, 'ip', family, 'route', 'get', address),
          new RegExp(`dev ${device} table ${mark} `),
          title,
        )
        await untilPing(a, address)
        const rules = await ok(a, 'ip', family, 'rule')
        t.equal(rules.match(/fwmark/g)?.length, 1, 'the former rules are gone')
      }
      t.match(await ok(a, 'nft', 'list', 'ruleset'), new RegExp(`0x0*${mark.toString(16)}\\b`))
    }
    for (const ping of pinging) ping.kill()
    t.equal(leaks.stdout, '', 'nothing went by the underlay')
    leaks.child.kill()
    await leaks.ended
    await near.stop()
    t.same(await hostState(a), state)
  },
)
