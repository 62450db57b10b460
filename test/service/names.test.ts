/** Name servers and a full tunnel, by the unit under a real systemd: with openresolv, and with systemd-resolved. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../support/hosts/lab.js'
import { CHECKOUT, CHECKOUT_INSIDE, Machine } from '../support/service/machine.js'
import { installResolved } from '../support/service/resolved.js'

const UNIT = join(CHECKOUT, 'packaging/systemd/udptun-fast@.service')
const UNIT_INSIDE = '/etc/systemd/system/udptun-fast@.service'
const BEFORE = 'nameserver 192.0.2.254\nsearch home.example\n'
const NAME = 'udptun-fast@full'
const WITHIN_MS = 30_000

const machine = await Machine.boot()
t.teardown(() => machine[Symbol.asyncDispose]())
await machine.write(
  '/usr/local/bin/udptun-fast',
  `#!/bin/sh\nexec ${process.execPath} ${CHECKOUT_INSIDE}/dist/program/cli/main.js "$@"\n`,
  '0755',
)
await machine.write(UNIT_INSIDE, readFileSync(UNIT, 'utf8'))
await machine.write('/etc/resolv.conf', BEFORE)
await machine.ok(
  'sh',
  '-c',
  'umask 077; mkdir -p /etc/udptun-fast; udptun-fast keygen > /etc/udptun-fast/own.key',
)
const hub = (await machine.ok('sh', '-c', 'udptun-fast keygen | udptun-fast pubkey')).trim()
await machine.write(
  '/etc/udptun-fast/full.yaml',
  `mode: tun
local: [10.8.0.2/24, "fd08::2/64"]
private_key_file: /etc/udptun-fast/own.key
warm_up: off
dns: [10.8.0.1, corp.example]
peers:
  - {name: hub, endpoint: "192.0.2.9:51820", public_key: "${hub}", prefixes: ["0.0.0.0/0", "::/0"]}
`,
  '0600',
)
// A way to the underlay.
await machine.ok('ip', 'tuntap', 'add', 'eth0', 'mode', 'tap')
await machine.ok('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
await machine.ok('ip', 'link', 'set', 'eth0', 'up')
await machine.ok('ip', 'route', 'add', 'default', 'via', '192.0.2.254')
await machine.ok('systemctl', 'daemon-reload')

/** Warnings and errors of the tunnel since its last start. */
async function warnings(unit = NAME): Promise<string[]> {
  await machine.ok('journalctl', '--sync')
  const id = await machine.property(unit, 'InvocationID')
  const lines = await machine.ok('journalctl', '-o', 'cat', '-p', 'warning', `_SYSTEMD_INVOCATION_ID=${id}`)
  return lines.split('\n').filter(Boolean)
}

const resolvConf = () => machine.ok('cat', '/etc/resolv.conf')
const linesOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

/** What {@link NAME} sets on this host beside name servers. */
async function hostState(): Promise<string> {
  const parts = [
    await machine.ok('ip', 'rule'),
    await machine.ok('ip', '-6', 'rule'),
    await machine.ok('nft', 'list', 'tables'),
    await machine.ok('sysctl', '-n', 'net.ipv4.conf.all.src_valid_mark'),
  ]
  return parts.join('')
}
const before = await hostState()

t.test('the hardening lets it lead all traffic into the tunnel, and take that back', async (t) => {
  await machine.ok('systemctl', 'start', NAME)
  t.match(
    await machine.ok('nft', 'list', 'ruleset'),
    /table ip udptun-fast-tun0 \{.*fib saddr type != local drop/s,
  )
  t.match(await machine.ok('nft', 'list', 'tables'), /table ip6 udptun-fast-tun0/)
  for (const family of ['-4', '-6'])
    t.match(await machine.ok('ip', family, 'rule'), /not from all fwmark 0xca6c lookup 51820/)
  t.match(await machine.ok('ip', 'route', 'get', '203.0.113.9'), /dev tun0 table 51820/)
  t.match(await machine.ok('ip', 'route', 'get', '192.0.2.9', 'mark', '51820'), /dev eth0/)
  t.equal((await machine.ok('sysctl', '-n', 'net.ipv4.conf.all.src_valid_mark')).trim(), '1')
  t.match(JSON.parse(await machine.ok('udptun-fast', 'status', 'tun0')), {
    tables: [51_820],
    fwmark: 51_820,
    faults: { count: 0 },
  })
  await machine.ok('systemctl', 'stop', NAME)
  t.equal(await hostState(), before)
})

t.test('openresolv cannot write its file there, and a warning says so', async (t) => {
  await machine.ok('systemctl', 'start', NAME)
  const said = (await warnings()).filter((line) => /name servers/.test(line))
  t.match(said, [
    /^the name servers 10\.8\.0\.1 may not be set \(resolvconf: .*\/etc\/resolv\.conf: Read-only file system/,
  ])
  t.equal(await resolvConf(), BEFORE)
  await machine.ok('systemctl', 'stop', NAME)
  t.equal(await resolvConf(), BEFORE)
})

t.test('where the unit may write to /etc, openresolv sets them', async (t) => {
  await machine.write(`${UNIT_INSIDE}.d/etc.conf`, '[Service]\nReadWritePaths=/etc\n')
  await machine.ok('systemctl', 'daemon-reload')
  const wanted = ['search corp.example', 'nameserver 10.8.0.1']
  await machine.ok('systemctl', 'start', NAME)
  t.same(linesOf(await resolvConf()), wanted)
  t.notMatch((await warnings()).join('\n'), /name servers/)
  t.comment('killed: the next start takes them back, and sets them again')
  await machine.ok('systemctl', 'kill', '--signal=KILL', NAME)
  await until(
    'it is started again',
    async () => (await machine.property(NAME, 'NRestarts')) === '1',
    WITHIN_MS,
  )
  await until('it is up', async () => (await machine.property(NAME, 'ActiveState')) === 'active', WITHIN_MS)
  t.same(linesOf(await resolvConf()), wanted)
  await machine.ok('systemctl', 'stop', NAME)
  t.equal(await resolvConf(), BEFORE)
  t.equal(await hostState(), before)
  await machine.ok('rm', '-r', `${UNIT_INSIDE}.d`)
  await machine.ok('systemctl', 'daemon-reload')
})

t.test('systemd-resolved', async (t) => {
  await installResolved(machine)
  const status = (device: string) => machine.ok('resolvectl', '--no-pager', 'status', device)

  t.comment('by the unit as it is')
  await machine.ok('systemctl', 'start', NAME)
  t.match(await status('tun0'), /DNS Servers: 10\.8\.0\.1\n\s+DNS Domain: ~\. corp\.example\n/)
  t.notMatch((await warnings()).join('\n'), /name servers/)
  await machine.ok('systemctl', 'stop', NAME)
  t.equal(await hostState(), before)

  t.comment('a device that stays keeps nothing')
  await machine.ok('ip', 'tuntap', 'add', 'tap7', 'mode', 'tap')
  const start = async (unit: string, device: string, address: string, ...flags: string[]) => {
    const command = ['udptun-fast', 'start', address, '192.0.2.9', '--dev', device, '--warm-up', 'off']
    await machine.ok('systemd-run', '--unit', unit, '--collect', ...command, ...flags)
    await until(
      `${unit} is up`,
      async () => (await machine.run('udptun-fast', 'status', device)).code === 0,
      WITHIN_MS,
    )
  }
  const dns = ['--dns', '10.9.0.53,fd00::53,lab.example']
  const hasServers = /DNS Servers: 10\.9\.0\.53 fd00::53\n\s+DNS Domain: ~\. lab\.example\n/
  await start('one', 'tap7', '10.9.0.1/24', ...dns)
  t.match(await status('tap7'), hasServers)
  t.match(await machine.ok('resolvectl', '--no-pager', 'dns'), /\(tap7\): 10\.9\.0\.53 fd00::53\n/)
  await machine.ok('systemctl', 'stop', 'one')
  t.notMatch(await status('tap7'), /10\.9\.0\.53|lab\.example/, 'after the end')

  await start('two', 'tap7', '10.9.0.1/24', ...dns)
  await machine.ok('systemctl', 'kill', '--signal=KILL', 'two')
  await until(
    'it is gone',
    async () => (await machine.run('systemctl', 'is-active', 'two')).stdout.trim() !== 'active',
    WITHIN_MS,
  )
  t.match(await status('tap7'), hasServers, 'a killed one leaves them')
  await start('three', 'tap8', '10.7.0.1/24')
  t.notMatch(await status('tap7'), /10\.9\.0\.53|lab\.example/, 'the next start takes them back')
  await machine.ok('systemctl', 'stop', 'three')
})
