/** The unit file and the program under a real systemd. */
import t from 'tap'
import { until } from '../support/hosts/lab.js'
import { install, UNIT_INSIDE } from '../support/service/installed.js'
import { CHECKOUT_INSIDE, Machine } from '../support/service/machine.js'

const WITHIN_MS = 60_000

const machine = await Machine.boot()
t.teardown(() => machine[Symbol.asyncDispose]())
await install(machine)

const settings = (name: string, text: string) => machine.write(`/etc/udptun-fast/${name}.yaml`, text, '0600')
const unit = (name: string) => `udptun-fast@${name}`
const statusText = (name: string) => machine.property(unit(name), 'StatusText')

async function untilStatus(name: string, text: string): Promise<void> {
  let last = ''
  try {
    await until(
      'the status',
      async () => {
        last = await statusText(name)
        return last === text
      },
      WITHIN_MS,
    )
  } catch {
    throw new Error(`the status of ${name} is "${last}", not "${text}"`)
  }
}

/** The messages of a unit in the journal, with their priorities. */
async function journal(name: string): Promise<{ priority: number; message: string }[]> {
  await machine.ok('journalctl', '--sync')
  const lines = await machine.ok('journalctl', '-o', 'json', '-u', unit(name))
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .map(({ PRIORITY, MESSAGE }) => ({ priority: Number(PRIORITY), message: String(MESSAGE) }))
}

const A = (peers: string) => `
local: [10.9.0.1/24]
dev: tap0
listen: 127.0.0.1:7001
datapath: kernel
warm_up: off
peers:
${peers}
`
/** As in README. */
const NETNS_DROP_IN = `[Service]
CapabilityBoundingSet=CAP_SYS_ADMIN
RestrictNamespaces=net
`
const PEER_B = '  - {name: b, endpoint: "127.0.0.1:7002"}'
const PEER_C = '  - {name: c, endpoint: "127.0.0.1:7003"}'
const B = `
local: [10.9.0.2/24]
dev: tap1
listen: 127.0.0.1:7002
datapath: kernel
warm_up: off
remote: 127.0.0.1:7001
`

t.test('it is ready when its device is up, and its status is in words', async (t) => {
  await settings('a', A(PEER_B))
  await settings('b', B)
  await machine.ok('systemctl', 'start', unit('a'))
  t.match(await machine.ok('ip', '-o', 'addr', 'show', 'tap0'), /inet 10\.9\.0\.1\/24/, 'the device is there')
  t.equal(await machine.property(unit('a'), 'ActiveState'), 'active')
  await untilStatus('a', 'tap0: 0 of 1 peer up; not up: b (not heard yet)')
  await machine.ok('systemctl', 'start', unit('b'))
  await untilStatus('a', 'tap0: 1 of 1 peer up')
  await untilStatus('b', 'tap1: 1 of 1 peer up')
})

t.test('down leaves a service to systemctl, and says so', async (t) => {
  for (const name of ['tap0', 'a', '/etc/udptun-fast/a.yaml']) {
    const { code, stderr } = await machine.run('udptun-fast', 'down', name)
    t.match([code, stderr], [1, `end it with: systemctl stop ${unit('a').replace('.service', '')}\n`], name)
  }
  t.equal(await machine.property(unit('a'), 'ActiveState'), 'active')
})

t.test('the hardening leaves it what it needs, and nothing more', async (t) => {
  const pid = await machine.property(unit('a'), 'MainPID')
  const status = await machine.ok('cat', `/proc/${pid}/status`)
  t.match(status, /^CapEff:\s+0000008000003400$/m, 'four capabilities')
  t.match(status, /^NoNewPrivs:\s+1$/m)
  t.match(status, /^Seccomp:\s+2$/m)
  const inside = (...command: string[]) => machine.run('nsenter', '-t', pid, '-m', ...command)
  t.not((await inside('touch', '/etc/x')).code, 0, 'it cannot write to /etc')
  t.equal((await inside('ls', '/root')).stdout, '', 'and sees no home')
  const mask = await machine.ok('cat', '/sys/class/net/tap0/queues/rx-0/rps_cpus')
  t.match(
    mask,
    /[1-9a-f]/,
    'all processors share what comes out of the tunnel, so it could write to /proc/sys/net',
  )
  const report = JSON.parse(await machine.ok('udptun-fast', 'status', 'tap0'))
  t.match(report, { device: 'tap0', faults: { count: 0 } })
  const said = await journal('a')
  t.same(
    said.filter(({ message }) => /EPERM|EACCES|not permitted|denied/i.test(message)),
    [],
    'nothing was denied',
  )
})

t.test('resolvconf may write to /etc only with a drop-in; else a warning says so', async (t) => {
  const names = () => machine.ok('cat', '/etc/resolv.conf')
  const before = await names()
  await settings(
    'named',
    'local: []\ndev: tap7\nlisten: 127.0.0.1:7007\nwarm_up: off\nremote: 127.0.0.1:7001\ndns: [192.0.2.53]\n',
  )
  await machine.ok('systemctl', 'start', unit('named'))
  const warned = async () =>
    (await journal('named')).some(({ priority, message }) =>
      /^the name servers 192\.0\.2\.53 may not be set \(resolvconf: .*Read-only/.test(message)
        ? priority === 4
        : false,
    )
  await until('a warning', warned, WITHIN_MS)
  await machine.ok('systemctl', 'stop', unit('named'))
  t.equal(await names(), before)

  await machine.write(
    '/etc/systemd/system/udptun-fast@named.service.d/names.conf',
    '[Service]\nReadWritePaths=/etc -/run/resolvconf\n',
  )
  await machine.ok('systemctl', 'daemon-reload')
  await machine.ok('systemctl', 'start', unit('named'))
  await until('they are set', async () => /^nameserver 192\.0\.2\.53$/m.test(await names()), WITHIN_MS)
  await machine.ok('systemctl', 'stop', unit('named'))
  t.equal(await names(), before)
})

t.test('systemd-analyze counts its exposure as 3.0 or less', async (t) => {
  const { code, stdout } = await machine.run(
    'systemd-analyze',
    'security',
    '--offline=yes',
    '--threshold=30',
    UNIT_INSIDE,
  )
  t.equal(code, 0, stdout.split('\n').at(-2) ?? '')
  t.match(stdout, /Overall exposure level.*: [0-3]\.\d/)
})

t.test('the journal has sentences with their priorities', async (t) => {
  const said = await journal('a')
  const saying = (pattern: RegExp) => said.find(({ message }) => pattern.test(message))
  t.match(saying(/^tap0 is up: 10\.9\.0\.1\/24, /), { priority: 6 })
  t.match(saying(/^this tunnel is not private/), { priority: 4 })
})

t.test('a reload changes the peers, and one that fails changes nothing and says so', async (t) => {
  const pid = await machine.property(unit('a'), 'MainPID')
  await settings('a', A(`${PEER_B}\n${PEER_C}`))
  await machine.ok('systemctl', 'reload', unit('a'))
  await untilStatus('a', 'tap0: 1 of 2 peers up; not up: c (not heard yet)')
  await settings('a', A('  - {name: b, endpoint: "no host"}'))
  await machine.ok('systemctl', 'reload', unit('a'))
  await until(
    'the failure is said',
    async () => /not reloaded: .*no host/.test(await statusText('a')),
    WITHIN_MS,
  )
  t.match(await statusText('a'), /^tap0: 1 of 2 peers up; /)
  await settings('a', A(PEER_B))
  await machine.ok('systemctl', 'reload', unit('a'))
  await untilStatus('a', 'tap0: 1 of 1 peer up')
  t.equal(await machine.property(unit('a'), 'ActiveState'), 'active')
  t.equal(await machine.property(unit('a'), 'MainPID'), pid, 'it is the same process')
})

t.test('what it keeps is in the state directory, so the MAC address stays', async (t) => {
  const mac = () => machine.ok('cat', '/sys/class/net/tap0/address')
  const before = await mac()
  await machine.ok('systemctl', 'restart', unit('a'))
  t.equal(await mac(), before)
  t.equal((await machine.ok('stat', '-c', '%a %U', '/var/lib/udptun-fast')).trim(), '700 root')
})

t.test('the MAC address of a device without addresses is that of a run by hand', async (t) => {
  const mac = async () => {
    await until(
      'the device is there',
      async () => (await machine.run('ip', 'link', 'show', 'tap9')).code === 0,
      WITHIN_MS,
    )
    return machine.ok('cat', '/sys/class/net/tap9/address')
  }
  const flags = [
    '--dev',
    'tap9',
    '--listen',
    '127.0.0.1:7008',
    '--peer',
    '127.0.0.1:7009',
    '--warm-up',
    'off',
  ]
  await machine.ok('systemd-run', '--unit=by-hand', 'udptun-fast', 'start', ...flags)
  const before = await mac()
  await machine.ok('systemctl', 'stop', 'by-hand')
  await settings('n', 'dev: tap9\nlisten: 127.0.0.1:7008\npeers: ["127.0.0.1:7009"]\nwarm_up: off\n')
  await machine.ok('systemctl', 'start', unit('n'))
  t.equal(await mac(), before, 'so it knows that it is in the same network namespace')
  await machine.ok('systemctl', 'stop', unit('n'))
})

t.test('a stop takes everything away', async (t) => {
  await machine.ok('systemctl', 'stop', unit('a'), unit('b'))
  for (const name of ['a', 'b']) {
    t.equal(await machine.property(unit(name), 'ActiveState'), 'inactive')
    t.equal(await machine.property(unit(name), 'Result'), 'success')
  }
  t.notMatch(await machine.ok('ip', '-br', 'link'), /tap/, 'no device')
  t.equal(
    await machine.ok('ls', '-A', '/run/udptun-fast', '/run/wireguard'),
    '/run/udptun-fast:\n\n/run/wireguard:\n',
  )
  t.notMatch(await machine.ok('ps', 'ax'), /udptun-fast start/, 'no process')
})

t.test('a private tunnel keeps its keys out of swap, and wg finds it', async (t) => {
  await machine.ok('sh', '-c', 'umask 077; udptun-fast keygen > /etc/udptun-fast/p.key')
  const key = (await machine.ok('sh', '-c', 'udptun-fast keygen | udptun-fast pubkey')).trim()
  await settings(
    'p',
    `mode: tun\nlocal: [10.8.0.1/24]\nlisten: 127.0.0.1:7004\nwarm_up: off\nprivate_key_file: /etc/udptun-fast/p.key\npeers:\n  - {name: q, endpoint: "127.0.0.1:7005", public_key: "${key}"}\n`,
  )
  await machine.ok('systemctl', 'start', unit('p'))
  t.match(await machine.ok('wg', 'show', 'tun0'), key)
  const status = await machine.ok('cat', `/proc/${await machine.property(unit('p'), 'MainPID')}/status`)
  t.ok(Number(/^VmLck:\s+(\d+) kB$/m.exec(status)?.[1]) > 1_000, 'memory is locked')
  await machine.ok('systemctl', 'stop', unit('p'))
})

t.test('a mistake in the file is an error in the journal, and no reason to try again', async (t) => {
  await settings('m', 'local: [10.9.0.3/24]\nremote: 127.0.0.1\nmtu: much\n')
  t.not((await machine.run('systemctl', 'start', unit('m'))).code, 0)
  t.equal(await machine.property(unit('m'), 'ActiveState'), 'failed')
  t.equal(await machine.property(unit('m'), 'ExecMainStatus'), '2')
  t.match(
    (await journal('m')).find(({ message }) => /"?much"?/.test(message)),
    { priority: 3 },
  )
  t.not(
    (await machine.run('systemctl', 'start', unit('none'))).code,
    0,
    'nor is there a tunnel without a file',
  )
})

// Not from the bundle, because the hook needs the modules by their names.
t.test('the watchdog ends a tunnel of which a thread is stuck, and no other', async (t) => {
  await machine.write(
    `${UNIT_INSIDE}.d/test.conf`,
    `[Service]\nWatchdogSec=3\nRestartSec=100ms\nEnvironment=FROM=src STUCK=/run/stuck/%i\nEnvironment=NODE_OPTIONS=--import=${CHECKOUT_INSIDE}/dist/test/support/service/stuck.js\n`,
  )
  await machine.ok('systemctl', 'daemon-reload')
  const stuck = ['main', 'tap', 'udp'] as const
  const all = [...stuck, 'whole']
  const end = (name: string) => `127.0.0.1:${7010 + all.indexOf(name)}`
  const tunnel = (name: string, peers: readonly string[]) =>
    settings(
      name,
      `local: []\ndev: tap-${name}\nlisten: ${end(name)}\nwarm_up: off\ndatapath: workers\npeers: [${peers.map((it) => `{name: ${it}, endpoint: "${end(it)}"}`).join(', ')}]\n`,
    )
  // Keepalives of the fourth wake the udp workers of the others, and IPv6 of the kernel wakes the tap workers.
  for (const name of stuck) await tunnel(name, ['whole'])
  await tunnel('whole', stuck)
  await machine.ok('systemctl', 'start', ...all.map(unit))
  const number = async (name: string, property: string) =>
    Number(await machine.property(unit(name), property))
  const fedUs = (name: string) => number(name, 'WatchdogTimestampMonotonic')
  for (const name of all) {
    const startedUs = await number(name, 'ExecMainStartTimestampMonotonic')
    const isFed = async () => (await fedUs(name)) > startedUs + 5e6
    await until(`${name} was fed for longer than the watchdog waits`, isFed, WITHIN_MS)
    t.equal(await number(name, 'NRestarts'), 0, 'workers that sleep are not stuck')
  }
  for (const name of stuck)
    await machine.write(`/run/stuck/${name}`, `${name} ${await machine.property(unit(name), 'InvocationID')}`)
  for (const name of stuck) {
    await until(
      `${name} is ended`,
      async () => {
        await machine.run('ping', '-c', '1', '-W', '0.1', '-I', `tap-${name}`, 'ff02::1')
        return (await journal(name)).some(({ message }) => /Watchdog timeout/.test(message))
      },
      WITHIN_MS,
    )
    await until(`${name} is started again`, async () => (await number(name, 'NRestarts')) > 0, WITHIN_MS)
    await untilStatus(name, `tap-${name}: 1 of 1 peer up`)
    t.equal(await number(name, 'NRestarts'), 1, `its ${name} thread was stuck, so it was started again`)
  }
  t.equal(await number('whole', 'NRestarts'), 0, 'the one in which nothing was stuck has gone on')
  await machine.ok('systemctl', 'stop', ...all.map(unit))
  t.notMatch(await machine.ok('ip', '-br', 'link'), /tap/, 'no device is left')
})

t.test('it goes to another network namespace only with a drop-in', async (t) => {
  await machine.ok('ip', 'netns', 'add', 'blue')
  await settings(
    'there',
    'local: [10.8.0.1/24]\nnetns: blue\nlisten: 127.0.0.1:7008\nremote: 127.0.0.1:7009\nwarm_up: off\n',
  )
  t.not((await machine.run('systemctl', 'start', unit('there'))).code, 0)
  const denied = (await journal('there')).map(({ message }) => message)
  t.ok(
    denied.some((it) => /network namespace blue is not permitted .*CAP_SYS_ADMIN/.test(it)),
    denied.join('\n'),
  )
  // Else it may be started again with what the unit says without the drop-in.
  await machine.ok('systemctl', 'stop', unit('there'))
  await machine.ok('mkdir', '-p', `/etc/systemd/system/${unit('there')}.service.d`)
  await machine.write(`/etc/systemd/system/${unit('there')}.service.d/netns.conf`, NETNS_DROP_IN)
  await machine.ok('systemctl', 'daemon-reload')
  await machine.run('systemctl', 'reset-failed', unit('there'))
  const started = await machine.run('systemctl', 'start', unit('there'))
  t.equal(started.code, 0, (await journal('there')).map(({ message }) => message).join('\n'))
  t.match(await machine.ok('ip', '-n', 'blue', '-o', 'addr', 'show', 'tap0'), /inet 10\.8\.0\.1\/24/)
  await machine.ok('systemctl', 'stop', unit('there'))
})
