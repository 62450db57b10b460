/** What doctor finds between two hosts, with each fault really made. */
import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../../src/doctor/finding.js'
import type { Host } from '../../../src/lab/host.js'
import { createLink, getLink } from '../../../src/linux/interface.js'
import { ok, PROGRAM, RunningTunnel, run, startTunnel, twoHosts, until } from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

/** This machine is busy at times. */
const WITHIN_MS = 30_000

async function doctor(host: Host, ...args: string[]): Promise<{ code: number; findings: Finding[] }> {
  const { code, stdout, stderr } = await run(host, process.execPath, [PROGRAM, 'doctor', ...args])
  if (stdout === '') throw new Error(`doctor says: ${stderr}`)
  return { code: code ?? -1, findings: JSON.parse(stdout) }
}

/** Waits until doctor finds it. */
async function untilFound(host: Host, id: string): Promise<Finding> {
  let all: Finding[] = []
  try {
    let found: Finding | undefined
    await until(
      id,
      async () => {
        all = (await doctor(host)).findings
        found = all.find((it) => it.id === id)
        return found !== undefined
      },
      WITHIN_MS,
    )
    return found as unknown as Finding
  } catch (error) {
    throw new Error(`${error}; found ${JSON.stringify(all, null, 1)}`)
  }
}

t.test('a host without a tunnel, and one whose port is taken', async (t) => {
  using pair = twoHosts()
  const free = await doctor(pair.a)
  t.equal(free.code, 0)
  t.ok(free.findings.some(({ id }) => id === 'port.free'))
  const holder = "const s = require('dgram').createSocket('udp4'); s.bind(5149, () => console.log('bound'))"
  const child = pair.a.spawn(process.execPath, ['-e', holder], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  const taken = await doctor(pair.a)
  t.equal(taken.code, 1)
  t.match(taken.findings[0], { id: 'port.taken', severity: 'wrong' })
  t.equal((await doctor(pair.a, '--port', '6000')).code, 0, 'another port is free')
})

t.test('a tunnel that works; then a rule drops its port, and the way is a loop', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilFound(pair.a, 'peer.up')
  const well = await doctor(pair.a)
  t.equal(well.code, 0, JSON.stringify(well.findings))
  t.ok(well.findings.some(({ id }) => id === 'firewall.open'))

  await ok(pair.a, 'nft', 'add table inet t')
  await ok(pair.a, 'nft', 'add chain inet t in { type filter hook input priority 0; policy accept; }')
  await ok(pair.a, 'nft', 'add rule inet t in udp dport 5000-6000 drop')
  const { code, findings } = await doctor(pair.a)
  t.equal(code, 1)
  const dropped = findings.find(({ id }) => id === 'firewall.drops_in')
  t.match(dropped, { severity: 'wrong', peer: '192.0.2.2', text: /chain "inet t in" drops .* port 5149/ })
  await ok(pair.a, 'nft', 'flush ruleset')

  await ok(pair.a, 'ip', 'route', 'add', '192.0.2.2/32', 'dev', 'tap0')
  t.match(await untilFound(pair.a, 'route.loop'), { severity: 'wrong', peer: '192.0.2.2' })
})

/** None of these drops a datagram of UDP over IPv4. */
const HARMLESS = `
table inet t {
  chain pre {
    type filter hook prerouting priority raw; policy accept;
    tcp dport != 22 drop
    tcp dport != { 22, 80 } drop
    tcp flags & (fin | syn | rst | ack) != syn drop
    icmp type != echo-request drop
    ip6 saddr != fe80::/10 drop
    ip daddr 172.17.0.2 drop
    fib saddr . iif oif missing drop
    fib daddr . iif type != { local, broadcast, multicast } drop
  }
}
table inet sleeping {
  flags dormant
  chain in {
    type filter hook input priority filter; policy drop;
  }
}
`

t.test('rules that only look as if they dropped the port, and drops at other hooks', async (t) => {
  using pair = twoHosts()
  const load = (rules: string) => ok(pair.a, 'sh', '-c', `nft -f - <<'E'\n${rules}\nE`)
  await load(HARMLESS)
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilFound(pair.a, 'peer.up')
  const { findings } = await doctor(pair.a)
  t.ok(
    findings.some(({ id }) => id === 'firewall.open'),
    JSON.stringify(findings),
  )

  await load('table inet late { chain pre { type filter hook prerouting priority filter; policy drop; }; }')
  const inward = (await doctor(pair.a)).findings.find(({ id }) => id === 'firewall.drops_in')
  t.match(inward, { severity: 'wrong', text: /chain "inet late pre" drops/ })
  await load(
    'delete table inet late; table ip out { chain post { type filter hook postrouting priority filter; policy drop; }; }',
  )
  const outward = (await doctor(pair.a)).findings.find(({ id }) => id === 'firewall.drops_out')
  t.match(outward, { severity: 'wrong', text: /chain "ip out post" drops/ })
})

t.test('a hub that waits for its first peer', async (t) => {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [a, b] = ['a', 'b'].map((name) => keys.make(name))
  await ok(pair.a, 'nft', 'add table inet t')
  await ok(pair.a, 'nft', 'add chain inet t in { type filter hook input priority 0; policy drop; }')
  const file = join(t.testdir({}), 'hub.yaml')
  writeFileSync(
    file,
    `local: [10.9.0.1/24]\nprivate_key_file: ${a.file}\npeers:\n  - { name: b, public_key: ${b.publicKey} }\n`,
  )
  await startTunnel(pair.a, '--config', file)
  const { code, findings } = await doctor(pair.a)
  t.equal(code, 1)
  t.match(
    findings.find(({ id }) => id === 'firewall.drops_in'),
    { severity: 'wrong', peer: null, text: /UDP port 5149/ },
  )
})

t.test('a tunnel in a namespace of processes of its own, without a capability', async (t) => {
  using pair = twoHosts()
  const command = [
    ...['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', 'setpriv', '--bounding-set=-bpf'],
    ...[process.execPath, PROGRAM],
  ] as [string, ...string[]]
  const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b], [], { command })
  await tunnel.said(/ is up: /)
  t.equal((await tunnel.status()).pid, 1, 'its own number')
  const { findings } = await doctor(pair.a)
  t.match(
    findings.find(({ id }) => id === 'capability.bpf'),
    { text: /^the tunnel does not have CAP_BPF/ },
  )
  t.notOk(findings.some(({ id }) => id === 'capability.all'))
  const report = await ok(pair.a, process.execPath, PROGRAM, 'report', '--output', '-')
  t.same(JSON.parse(report).arguments.slice(1), [PROGRAM, 'start', '10.9.0.1', pair.underlay.b])

  const elsewhere = ['--pid', '--fork', '--kill-child', '--mount-proc', process.execPath, PROGRAM, 'doctor']
  const seen: Finding[] = JSON.parse((await run(pair.a, 'unshare', elsewhere)).stdout)
  t.ok(seen.some(({ id }) => id === 'capability.not_seen'))
})

t.test('strict reverse-path filtering, where the way back is by another interface', async (t) => {
  using pair = twoHosts()
  pair.a.netlink((netlink) => createLink(netlink, 'bridge', 'br0'))
  pair.a.configure('br0', ['203.0.113.1/24'])
  // The filter is for ARP requests, too, and does not count those.
  const mac = pair.a.netlink((netlink) => getLink(netlink, 'eth0').mac) ?? ''
  await ok(pair.b, 'ip', 'neigh', 'replace', '192.0.2.1', 'lladdr', mac, 'dev', 'eth0')
  await ok(pair.a, 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
  await ok(pair.a, 'ip', 'route', 'add', '192.0.2.2/32', 'dev', 'br0', 'src', '192.0.2.1')
  t.ok((await doctor(pair.a)).findings.some(({ id }) => id === 'rp_filter.strict'))
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  t.match(await untilFound(pair.a, 'rp_filter.drops'), { severity: 'wrong', text: /for .*eth0/ })
})

t.test('a wrong public key, seen from both ends', async (t) => {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [a, b, other] = ['a', 'b', 'other'].map((name) => keys.make(name))
  await startTunnel(
    pair.a,
    '10.9.0.1',
    pair.underlay.b,
    '--private-key-file',
    a.file,
    '--peer-key',
    other.publicKey,
  )
  await startTunnel(
    pair.b,
    '10.9.0.2',
    pair.underlay.a,
    '--private-key-file',
    b.file,
    '--peer-key',
    a.publicKey,
  )
  t.match(await untilFound(pair.b, 'drop.wrong_mac1'), { severity: 'doubtful' })
  const atB = await doctor(pair.b)
  t.equal(atB.code, 1)
  t.match(
    atB.findings.find(({ id }) => id === 'peer.new'),
    { text: /it probably has a wrong public key of this host/ },
  )
  await untilFound(pair.a, 'drop.handshake_unknown_peer')
  const atA = await doctor(pair.a)
  t.match(
    atA.findings.find(({ id }) => id === 'peer.new'),
    { text: /this host probably has a wrong public key/ },
  )
})

t.test('an MTU by hand over what the path carries', async (t) => {
  using pair = twoHosts(1400)
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--mtu', '1458')
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  t.match(await untilFound(pair.a, 'mtu.over_path'), {
    severity: 'wrong',
    text: /is 1458, .* carries only 1358/,
  })
})

t.test('a report has what is needed, and no key; masks hide addresses', async (t) => {
  using pair = twoHosts()
  using keys = new KeyFolder()
  const [a, b] = ['a', 'b'].map((name) => keys.make(name))
  const folder = t.testdir({})
  const preshared = join(folder, 'psk')
  writeFileSync(preshared, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
  const flags = ['--preshared-key-file', preshared, '--peer-key']
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, '--private-key-file', a.file, ...flags, b.publicKey)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--private-key-file', b.file, ...flags, a.publicKey)
  await untilFound(pair.a, 'peer.up')

  const report = (...args: string[]) => run(pair.a, process.execPath, [PROGRAM, 'report', ...args])
  const file = join(folder, 'report.json')
  t.match(await report('--output', file), { code: 0, stdout: `${file}\n`, stderr: '' })
  t.equal(statSync(file).mode & 0o777, 0o600)
  const text = readFileSync(file, 'utf8')
  for (const path of [a.file, b.file, preshared]) {
    const key = readFileSync(path, 'utf8').trim()
    const hex = Buffer.from(key, 'base64').toString('hex')
    for (let at = 0; at + 8 <= key.length; at++)
      t.notOk(text.includes(key.slice(at, at + 8)), 'no part of a key')
    t.notOk(text.toLowerCase().includes(hex.slice(0, 12)))
  }
  t.notOk(text.includes(b.publicKey), 'a public key is a hash')
  t.match(JSON.parse(text), {
    schema: 1,
    status: {
      device: 'tap0',
      peers: [{ endpoint: '192.0.2.2:5149' }],
      privacy: { public_key: /^key-[\da-f]{8}$/ },
    },
    findings: [{ id: /./ }],
    arguments: /--preshared-key-file/,
    fdb: { entries: [] },
    sysctls: { 'net.ipv4.ip_forward': /^[01]$/ },
  })
  t.ok(JSON.parse(text).ip.link.some(({ ifname }: { ifname: string }) => ifname === 'tap0'))

  t.match(await report('--output', file), { code: 1, stderr: /it is there already; choose another name/ })

  const masked = (await report('--output', '-', '--mask-addresses')).stdout
  const mac = pair.a.netlink((netlink) => getLink(netlink, 'tap0').mac) ?? '?'
  for (const address of ['192.0.2.', '10.9.0.', '2001:db8', 'fe80::', mac])
    t.notOk(masked.includes(address), `${address} is masked`)
  const { status } = JSON.parse(masked)
  t.equal(`${status.peers[0].name}:5149`, status.peers[0].endpoint, 'the same address has the same mask')
})
