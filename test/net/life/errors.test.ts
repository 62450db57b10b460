import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { getLink, setLink } from '../../../src/linux/interface.js'
import type { FailedStart } from '../../support/hosts/failing-starts.js'
import {
  type Finished,
  type Launch,
  ok,
  type Pair,
  PROGRAM,
  run,
  startTunnel,
  twoHosts,
} from '../../support/hosts/lab.js'
import { leftIn } from '../../support/hosts/leftovers.js'
import { asksItsHost, inMountNamespace, mountResolver, NAME, serveNames } from '../../support/hosts/names.js'

/** Cases at once: what takes the time is the start of node. */
const AT_ONCE = 3

const REMOTE = '198.51.100.2'
const START = ['start', '10.9.0.1', REMOTE]

/** The same on another port and device, for cases that run at once. */
const startOn = (index: number) => [...START, '--listen', `${6000 + index}`, '--dev', `tap${index}`]

/** What goes wrong, what is said of it, and how the program ends: 2 where it was called wrongly, else 1. */
interface Case {
  readonly what: string
  readonly args: readonly string[]
  /** The sentence, without `udptun-fast: `; the `…` in it stand for anything. */
  readonly says: string
  readonly code: 1 | 2
  /** The program's place in a command line, where it is not started as ever. */
  readonly launch?: Launch
}

/** A flag that is wrong. */
function flag(flags: readonly string[], says: string): Case {
  return { what: flags.join(' '), args: [...START, ...flags], says, code: 2 }
}

/** Arguments that are wrong. */
function given(args: readonly string[], says: string): Case {
  return { what: `start ${args.join(' ')}`, args: ['start', ...args], says, code: 2 }
}

const MISSING = 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2'
const LOCAL = 'write one such as 10.9.0.1/24 or fd00::1/64'
const WHERE = 'write a host name or an address, such as host-b, 198.51.100.2:5149 or [2001:db8::2]:5149'

const USAGE: readonly Case[] = [
  given([], `remote is missing; ${MISSING}`),
  given(['--peer', REMOTE, '--mode', 'tun'], `local is missing; ${MISSING}`),
  given(['10.9.0.1'], `"10.9.0.1" is not enough; ${MISSING}`),
  given(['10.9.0', REMOTE], `local: "10.9.0" is not an overlay address; ${LOCAL}`),
  given(['10.9.0.256', REMOTE], `local: "10.9.0.256" is not an overlay address; ${LOCAL}`),
  given(['fd00::g', REMOTE], `local: "fd00::g" is not an overlay address; ${LOCAL}`),
  given(
    ['10.9.0.1/33', REMOTE],
    'local: "10.9.0.1/33" has the prefix "33"; for 10.9.0.1 use a number from 1 to 32',
  ),
  given(
    ['fd00::1/129', REMOTE],
    'local: "fd00::1/129" has the prefix "129"; for fd00::1 use a number from 1 to 128',
  ),
  given(
    ['10.9.0.1/x', REMOTE],
    'local: "10.9.0.1/x" has the prefix "x"; for 10.9.0.1 use a number from 1 to 32',
  ),
  given(
    ['224.0.0.1', REMOTE],
    'local: "224.0.0.1" is a multicast address, which no host can have on a network; choose another',
  ),
  given(['10.9.0.1', '10.9.0.1', REMOTE], 'local: "10.9.0.1" is given twice; leave one of them out'),
  given(['10.9.0.1', '198.51.100'], `remote: "198.51.100" is not a remote; ${WHERE}`),
  given(['10.9.0.1', 'host b'], `remote: "host b" is not a remote; ${WHERE}`),
  given(['10.9.0.1', `${REMOTE}:0`], 'remote: "0" is not a port; use a number from 1 to 65535'),
  given(['10.9.0.1', 'host-b:http'], 'remote: "http" is not a port; use a number from 1 to 65535'),
  given(
    ['10.9.0.1', '10.9.0.2'],
    `remote: "10.9.0.2" lies inside the overlay network 10.9.0.1/24, so the tunnel's own datagrams would go into the tunnel; choose another overlay network`,
  ),
  flag(['--listen', '65536'], '--listen: "65536" is not a port; use a number from 0 to 65535'),
  flag(
    ['--listen', 'host-a.example.net:5149'],
    '--listen: "host-a.example.net:5149" is not a place to listen; write a port, or an address or an interface and a port, such as 5149, 192.0.2.1:5149 or ppp0:5149',
  ),
  flag(
    ['--listen', '[2001:db8::1]:5149'],
    `--listen: "2001:db8::1" and the remote "${REMOTE}" are not of one family, IPv4 or IPv6; leave the address out, or give one like the remote's`,
  ),
  flag(['--mac', '02:00:00'], '--mac: "02:00:00" is not a MAC; write six bytes such as 02:00:00:00:00:01'),
  flag(
    ['--mac', '01:00:5e:00:00:01'],
    '--mac: "01:00:5e:00:00:01" is a group address, which no device can have; make the first byte even, such as 02',
  ),
  flag(
    ['--mode', 'tun', '--mac', '02:00:00:00:00:01'],
    '--mac: makes no sense with mode tun, which has no Ethernet; leave one of them out',
  ),
  flag(['--mtu', '67'], '--mtu: "67" is not an MTU; write bytes from 68 to 65521, auto or safe'),
  flag(['--mtu', 'large'], '--mtu: "large" is not an MTU; write bytes from 68 to 65521, auto or safe'),
  given(
    ['fd00::1', REMOTE, '--mtu', '1279'],
    "--mtu: 1279 is below IPv6's least MTU of 1280 bytes, and fd00::1 is IPv6; give at least 1280 or leave one of them out",
  ),
  flag(
    ['--dev', 'a-name-too-long-'],
    '--dev: "a-name-too-long-" is not a device name; use 1 to 15 ASCII characters without spaces, "/", ":" and "%"',
  ),
  flag(
    ['--dev', 'tap/0'],
    '--dev: "tap/0" is not a device name; use 1 to 15 ASCII characters without spaces, "/", ":" and "%"',
  ),
  flag(
    ['--mode', 'bridge'],
    "option '--mode <mode>' argument 'bridge' is invalid: allowed choices are tap, tun; see udptun-fast start --help",
  ),
  flag(
    ['--log-level', 'loud'],
    "option '--log-level <level>' argument 'loud' is invalid: allowed choices are debug, info, warn, error, silent; see udptun-fast start --help",
  ),
  flag(
    ['--datapath', 'kernel', '--relay'],
    '--datapath kernel does not go with --relay; leave one of them out',
  ),
  flag(['--mut', '1400'], "unknown option '--mut' (Did you mean --mtu?); see udptun-fast start --help"),
  flag(['--dev'], "option '--dev <name>' argument missing; see udptun-fast start --help"),
  {
    what: 'an unknown command',
    args: ['nonsense'],
    says: "unknown command 'nonsense'; see udptun-fast --help",
    code: 2,
  },
]

/** Files that are wrong, and what is said after the file's name. */
const FILES: readonly (readonly [text: string, says: string])[] = [
  [
    'remote: host-b\n\ncolour: red\n',
    ':3: colour: there is no setting "colour"; there are local, remote, peers, mode, …',
  ],
  [
    'mtu: 1400\nlog-level: info\n',
    ':2: log-level: there is no setting "log-level" (did you mean "log_level"?); there are …',
  ],
  [
    'local: [10.9.0.1]\nremote: host-b\nmtu: 40\n',
    ':3: mtu: "40" is not an MTU; write bytes from 68 to 65521, auto or safe',
  ],
  ['local: [10.9.0.1]\nremote: host-b\nmtu: true\n', ':3: mtu: true is not right; write a text or a number'],
  ['local: [10.9.0.1]\nremote: host-b\nmode: bridge\n', ':3: mode: "bridge" is not right; use tap or tun'],
  ['# comment\nlocal: 10.9.0.1\n', ':2: local: "10.9.0.1" is not right; write a list, such as [10.9.0.1/24]'],
  [
    'local:\n  - 10.9.0.1/99\nremote: host-b\n',
    ':1: local: "10.9.0.1/99" has the prefix "99"; for 10.9.0.1 use …',
  ],
  ['local: [10.9.0.1]\nremote:\n', ':2: remote is missing; add a line such as: remote: host-b'],
  ['local: [10.9.0.1]\n', ': remote is missing; add a line such as: remote: host-b'],
  ['local: [10.9.0.1]\nremote: h\njson: maybe\n', ':3: json: "maybe" is not right; use true or false'],
  ['local: [fd00::1]\nremote: h\nmtu: safe\n', ":3: mtu: safe is below IPv6's least MTU of 1280 bytes, …"],
  ['local: [10.9.0.1\nremote: host-b\n', ':2: this is not valid YAML (…); mend it'],
  ['remote: a\nremote: b\n', ':2: this is not valid YAML (Map keys must be unique); mend it'],
  ['remote: *nobody\n', ': this is not valid YAML (an alias refers to nothing before it, …); mend it'],
  ['- 10.9.0.1\n', ' must hold "key: value" lines, such as "remote: host-b"'],
]

function fileCases(t: Test): Case[] {
  const names = FILES.map((_, index) => `${index}.yaml`)
  const folder = t.testdir(Object.fromEntries(FILES.map(([text], index) => [names[index], text])))
  const none = join(folder, 'none.yaml')
  return [
    ...FILES.map(([text, says], index): Case => {
      const file = join(folder, names[index])
      return { what: JSON.stringify(text), args: ['start', '--config', file], says: file + says, code: 2 }
    }),
    {
      what: 'no such file',
      args: ['start', '--config', none],
      says: `${none} cannot be read (ENOENT); check --config`,
      code: 2,
    },
  ]
}

function matches(says: string): RegExp {
  const parts = says.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^udptun-fast: ${parts.join('[^\\n]+')}\\n$`)
}

async function attempt(pair: Pair, { args, launch }: Case): Promise<Finished> {
  const [command, ...first] = launch?.command ?? [process.execPath, PROGRAM]
  return run(pair.a, command, [...first, ...args], 20_000)
}

async function check(t: Test, pair: Pair, cases: readonly Case[]): Promise<void> {
  const before = leftIn(pair.a)
  const queue = [...cases]
  const work = async () => {
    for (let it = queue.shift(); it !== undefined; it = queue.shift()) {
      const { code, stdout, stderr } = await attempt(pair, it)
      t.match(stderr, matches(it.says), it.what)
      t.equal(code, it.code, `${it.what}: exit code`)
      t.equal(stdout, '', `${it.what}: nothing on standard output`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  t.same(leftIn(pair.a), before, 'nothing is left behind')
}

t.test('what is wrong in the command line', async (t) => {
  using pair = twoHosts()
  await check(t, pair, USAGE)
})

t.test('what is wrong in the file', async (t) => {
  using pair = twoHosts()
  await check(t, pair, fileCases(t))
})

const NO_TUN = '/dev/net/tun is missing, so no device can be made; load the driver with: modprobe tun'
const NO_CAPABILITY =
  'making the device tap… needs the capability CAP_NET_ADMIN; run as root, such as with sudo'
const WITHOUT_CAPABILITY = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'] as const
/** Somebody who may read everything, so that the checkout may lie anywhere. */
const NOT_ROOT = [
  'setpriv',
  ...['--reuid=65534', '--regid=65534', '--clear-groups'],
  ...['--inh-caps=-all,+dac_read_search', '--ambient-caps=-all,+dac_read_search'],
] as const
const CLOSED_TUN = 'mount -t tmpfs none /dev/net && mknod -m 600 /dev/net/tun c 10 200'

t.test('what the host does not give', async (t) => {
  using pair = twoHosts()
  await check(t, pair, [
    {
      what: 'no /dev/net/tun',
      args: startOn(1),
      says: NO_TUN,
      code: 1,
      launch: inMountNamespace('mount -t tmpfs none /dev/net'),
    },
    {
      what: '/dev/net/tun without its driver',
      args: startOn(2),
      says: NO_TUN,
      code: 1,
      launch: inMountNamespace('mount -t tmpfs none /dev/net && mknod /dev/net/tun c 10 254'),
    },
    {
      what: 'root without CAP_NET_ADMIN',
      args: startOn(3),
      says: NO_CAPABILITY,
      code: 1,
      launch: { command: [...WITHOUT_CAPABILITY, process.execPath, PROGRAM] },
    },
    {
      what: 'not root',
      args: startOn(4),
      says: NO_CAPABILITY,
      code: 1,
      launch: { command: [...NOT_ROOT, process.execPath, PROGRAM] },
    },
    {
      what: 'not root, and /dev/net/tun for root alone',
      args: startOn(5),
      says: NO_CAPABILITY,
      code: 1,
      launch: inMountNamespace(CLOSED_TUN, 'setpriv', '--reuid=65534', '--clear-groups'),
    },
    {
      what: 'not root but with CAP_NET_ADMIN, and /dev/net/tun for root alone',
      args: startOn(6),
      says: 'this user may not open /dev/net/tun (EACCES), although it has CAP_NET_ADMIN; run as root, or mend that with: chmod 666 /dev/net/tun',
      code: 1,
      launch: inMountNamespace(
        CLOSED_TUN,
        'setpriv',
        ...['--reuid=65534', '--clear-groups'],
        ...['--inh-caps=+net_admin', '--ambient-caps=+net_admin'],
      ),
    },
    {
      what: 'not root, asks for the status',
      args: ['status'],
      says: '/run/udptun-fast, where tunnels are asked, cannot be read (EACCES); run as root',
      code: 1,
      launch: { command: ['setpriv', '--reuid=65534', '--clear-groups', process.execPath, PROGRAM] },
    },
  ])
})

t.test('what is taken', async (t) => {
  using pair = twoHosts()
  const { a } = pair
  await startTunnel(a, '10.8.0.1', pair.underlay.b)
  await ok(a, 'ip', 'link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'other-peer')
  await ok(a, 'ip', 'addr', 'add', '10.7.0.1/24', 'dev', 'other')
  a.netlink((netlink) => setLink(netlink, getLink(netlink, 'other').index, { up: false }))
  await ok(a, 'ip', 'tuntap', 'add', 'dev', 'tun5', 'mode', 'tun')
  const taken = (address: string, device: string) =>
    `the overlay address ${address} is taken: ${device} of this host has it; choose another or remove it there`
  const exists = (device: string) =>
    `there is a device ${device} already, and it is not a free tap device; choose another name with --dev`
  const cases: readonly (readonly [what: string, args: readonly string[], says: string])[] = [
    [
      'the device, by another tunnel',
      ['10.9.0.1', REMOTE, '--listen', '6000'],
      'the device tap0 is taken by another program; stop that or choose another name with --dev',
    ],
    ['the device, by a veth', ['10.9.0.1', REMOTE, '--listen', '6001', '--dev', 'eth0'], exists('eth0')],
    ['the device, by a tun', ['10.9.0.1', REMOTE, '--listen', '6002', '--dev', 'tun5'], exists('tun5')],
    [
      'the address, by the underlay',
      [pair.underlay.a, REMOTE, '--listen', '6003', '--dev', 'tap1'],
      taken(pair.underlay.a, 'eth0'),
    ],
    [
      'the address, by another tunnel',
      ['10.8.0.1/30', REMOTE, '--listen', '6004', '--dev', 'tap2'],
      taken('10.8.0.1', 'tap0'),
    ],
    [
      'the address, by an interface that is down',
      ['10.9.0.1', '10.7.0.1', REMOTE, '--listen', '6005', '--dev', 'tap3'],
      taken('10.7.0.1', 'other'),
    ],
    [
      'the address, IPv6 and written otherwise',
      ['2001:DB8:0::0:1', REMOTE, '--listen', '6006', '--dev', 'tap4'],
      taken('2001:db8::1', 'eth0'),
    ],
    [
      'the port',
      ['10.9.0.1', REMOTE, '--dev', 'tap5'],
      'UDP port 5149 is taken; stop the program that has it or choose another with --listen',
    ],
    [
      'a remote by an interface that there is not',
      ['10.9.0.1', 'fe80::2%eth9', '--listen', '6009', '--dev', 'tap8'],
      'the remote cannot be reached: fe80::2%eth9: there is no interface eth9; check its address',
    ],
  ]
  await check(
    t,
    pair,
    cases.map(([what, args, says]) => ({ what, args: ['start', ...args], says, code: 1 })),
  )
})

t.test('a host without IPv6', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1')
  await check(t, pair, [
    {
      what: 'an IPv6 address',
      args: ['start', 'fd00::1', REMOTE],
      says: 'the overlay address fd00::1 cannot be used: IPv6 is off for new devices of this host; turn it on with: sysctl net.ipv6.conf.default.disable_ipv6=0',
      code: 1,
    },
  ])
  await ok(pair.a, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=0')
  const tunnel = await startTunnel(pair.a, 'fd00::1', REMOTE)
  t.equal((await tunnel.stop()).code, 0)
})

t.test('where it is started', async (t) => {
  using pair = twoHosts()
  const deleted = join(t.testdir(), 'gone')
  const shell = (script: string): Launch => ({
    command: ['sh', '-c', `${script} && exec "$@"`, 'sh', process.execPath, PROGRAM],
  })
  const nowhere = shell(`mkdir ${deleted} && cd ${deleted} && rmdir ${deleted}`)
  const gone = 'the working directory has been deleted; go to another one, such as with: cd /'
  await check(t, pair, [
    { what: 'a deleted directory', args: START, says: gone, code: 1, launch: nowhere },
    {
      what: 'too little address space',
      args: startOn(1),
      says: "the limit of 5000000 KiB on this process's address space is too low, because WebAssembly reserves more than it uses; raise it with: ulimit -v unlimited (systemd: LimitAS=infinity)",
      code: 1,
      launch: shell('ulimit -v 5000000'),
    },
  ])
})

t.test('names, for a start that waits', async (t) => {
  using pair = twoHosts()
  await serveNames(pair.a, '10.9.0.9')
  const launch = asksItsHost(t)
  await check(t, pair, [
    {
      what: 'a host name that does not exist',
      args: ['start', '--wait', '10.9.0.1', 'nobody.test', '--dev', 'tap1', '--listen', '6001'],
      says: `the host name "nobody.test" does not resolve (ENOTFOUND); check its spelling and this host's DNS`,
      code: 1,
      launch,
    },
    {
      what: 'a host name of the overlay network',
      args: ['start', '--wait', '10.9.0.1', 'host-b.test', '--dev', 'tap2', '--listen', '6002'],
      says: 'host-b.test resolves to 10.9.0.9, which lies inside the overlay network 10.9.0.1/24; choose another overlay network',
      code: 1,
      launch,
    },
  ])
})

t.test('a start that fails leaves no file open and no thread, however far it came', async (t) => {
  using pair = twoHosts()
  await ok(pair.a, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1')
  const program = fileURLToPath(new URL('../../support/hosts/failing-starts.js', import.meta.url))
  const start = { local: ['10.9.0.1'], remote: REMOTE }
  const starts: readonly (readonly [settings: object, says: RegExp])[] = [
    [{ ...start, listen: 'eth9:5149', local: [pair.underlay.a] }, /is taken: eth0/],
    [{ ...start, wait: true, remote: 'nobody.test' }, /does not resolve/],
    [{ ...start, wait: true, remote: NAME }, /lies inside the overlay network/],
    [{ ...start, remote: 'fe80::2%eth9' }, /there is no interface eth9/],
    [{ ...start, local: [pair.underlay.a] }, /is taken: eth0/],
    [{ ...start, dev: 'eth0' }, /there is a device eth0 already/],
    [{ ...start, local: ['10.9.0.1', 'fd00::1'] }, /IPv6 is off/],
  ]
  await serveNames(pair.a, '10.9.0.9')
  const script = `${mountResolver(t)} && exec "$@"`
  const list = JSON.stringify(starts.map(([settings]) => settings))
  const { stdout, stderr } = await run(pair.a, 'unshare', [
    '-m',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    program,
    list,
  ])
  t.equal(stderr, '')
  const failed: FailedStart[] = JSON.parse(stdout)
  for (const [index, { message, files, threads }] of failed.entries()) {
    t.match(message, starts[index][1])
    t.same({ files, threads }, { files: [], threads: 0 }, message)
  }
  t.equal(failed.length, starts.length)
})
