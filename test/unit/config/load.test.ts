import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import t, { type Test } from 'tap'
import {
  contains,
  parseListen,
  parseLocalAddress,
  parsePort,
  parseRemote,
} from '../../../src/config/addresses.js'
import { type ConfigFile, loadSettings } from '../../../src/config/load.js'
import { PEER_KEYS, type Settings, settingsSchema } from '../../../src/config/schema.js'
import { parseDeviceName, parseMtu, parseOwnMac } from '../../../src/config/values.js'
import { readConfigFile } from '../../../src/config/yaml-file.js'
import { UserError } from '../../../src/errors.js'

/** Texts, and what they are parsed to or the sentence they are refused with. */
interface Table {
  readonly parse: (text: string) => unknown
  readonly taken: Readonly<Record<string, unknown>>
  readonly refused: Readonly<Record<string, string>>
}

const NO_PORT = 'is not a port; use a number from 1 to 65535'
const NO_LOCAL = 'is not an overlay address; write one such as 10.9.0.1/24 or fd00::1/64'
const NO_REMOTE =
  'is not a remote; write a host name or an address, such as host-b, 198.51.100.2:5149 or [2001:db8::2]:5149'
const NO_LISTEN_PORT = 'is not a port; use a number from 0 to 65535'
const NO_LISTEN =
  'is not a place to listen; write a port, or an address or an interface and a port, such as 5149, 192.0.2.1:5149 or ppp0:5149'
const NO_DEVICE = 'is not a device name; use 1 to 15 ASCII characters without spaces, "/", ":" and "%"'
const NO_MTU = 'is not an MTU; write bytes from 68 to 65521, auto or safe'
const NO_MAC = 'is not a MAC; write six bytes such as 02:00:00:00:00:01'
const NOBODY = 'address, which no host can have on a network; choose another'

const TABLES: Readonly<Record<string, Table>> = {
  'a port': {
    parse: parsePort,
    taken: { '1': 1, '5149': 5149, '65535': 65_535, '00080': 80 },
    refused: Object.fromEntries(
      ['', '0', '65536', '-1', '1.5', '5e3', ' 80', '80 ', '0x50', '123456', 'http'].map((text) => [
        text,
        `"${text}" ${NO_PORT}`,
      ]),
    ),
  },
  'an overlay address': {
    parse: parseLocalAddress,
    taken: {
      '10.9.0.1': { address: '10.9.0.1', family: 'ipv4', prefixLength: 24 },
      '10.9.0.1/1': { address: '10.9.0.1', family: 'ipv4', prefixLength: 1 },
      '10.9.0.1/32': { address: '10.9.0.1', family: 'ipv4', prefixLength: 32 },
      '169.254.7.7/16': { address: '169.254.7.7', family: 'ipv4', prefixLength: 16 },
      'fd00::1': { address: 'fd00::1', family: 'ipv6', prefixLength: 64 },
      'FD00::0:1/128': { address: 'fd00::1', family: 'ipv6', prefixLength: 128 },
      'fe80::1/64': { address: 'fe80::1', family: 'ipv6', prefixLength: 64 },
      'FE80::0:5/64': { address: 'fe80::5', family: 'ipv6', prefixLength: 64 },
    },
    refused: {
      '': `"" ${NO_LOCAL}`,
      'host-a': `"host-a" ${NO_LOCAL}`,
      '10.9.0': `"10.9.0" ${NO_LOCAL}`,
      '10.9.0.256': `"10.9.0.256" ${NO_LOCAL}`,
      '010.9.0.1': `"010.9.0.1" ${NO_LOCAL}`,
      '0x0a.9.0.1': `"0x0a.9.0.1" ${NO_LOCAL}`,
      '10.9.0.1/24/24': `"10.9.0.1/24/24" ${NO_LOCAL}`,
      'fe80::1%eth0': `"fe80::1%eth0" ${NO_LOCAL}`,
      'fd00::1::2': `"fd00::1::2" ${NO_LOCAL}`,
      '10.9.0.1/': '"10.9.0.1/" has the prefix ""; for 10.9.0.1 use a number from 1 to 32',
      '10.9.0.1/0': '"10.9.0.1/0" has the prefix "0"; for 10.9.0.1 use a number from 1 to 32',
      '10.9.0.1/33': '"10.9.0.1/33" has the prefix "33"; for 10.9.0.1 use a number from 1 to 32',
      '10.9.0.1/1e1': '"10.9.0.1/1e1" has the prefix "1e1"; for 10.9.0.1 use a number from 1 to 32',
      'fd00::1/129': '"fd00::1/129" has the prefix "129"; for fd00::1 use a number from 1 to 128',
      '224.0.0.1': `"224.0.0.1" is a multicast ${NOBODY}`,
      '255.255.255.255': `"255.255.255.255" is a broadcast ${NOBODY}`,
      '0.0.0.0': `"0.0.0.0" is an unspecified ${NOBODY}`,
      '127.0.0.1/8': `"127.0.0.1/8" is a loopback ${NOBODY}`,
      'ff02::1': `"ff02::1" is a multicast ${NOBODY}`,
      '::': `"::" is an unspecified ${NOBODY}`,
      '::1': `"::1" is a loopback ${NOBODY}`,
    },
  },
  'a remote': {
    parse: parseRemote,
    taken: {
      '198.51.100.2': { host: '198.51.100.2', port: 5149 },
      '198.51.100.2:7000': { host: '198.51.100.2', port: 7000 },
      '2001:db8::2': { host: '2001:db8::2', port: 5149 },
      '[2001:db8::2]': { host: '2001:db8::2', port: 5149 },
      '[2001:db8::2]:7000': { host: '2001:db8::2', port: 7000 },
      'fe80::2%eth0': { host: 'fe80::2%eth0', port: 5149 },
      '[fe80::2%eth0]:7000': { host: 'fe80::2%eth0', port: 7000 },
      'host-b': { host: 'host-b', port: 5149 },
      'host-b:7000': { host: 'host-b', port: 7000 },
      'vpn.example.org.': { host: 'vpn.example.org.', port: 5149 },
      '_tunnel.3com.example': { host: '_tunnel.3com.example', port: 5149 },
      '127.0.0.1:7000': { host: '127.0.0.1', port: 7000 },
    },
    refused: {
      '': `"" ${NO_REMOTE}`,
      ':5149': `":5149" ${NO_REMOTE}`,
      'host b': `"host b" ${NO_REMOTE}`,
      '-host': `"-host" ${NO_REMOTE}`,
      'host-': `"host-" ${NO_REMOTE}`,
      'a..b': `"a..b" ${NO_REMOTE}`,
      höst: `"höst" ${NO_REMOTE}`,
      [`${'a'.repeat(64)}.org`]: `"${'a'.repeat(64)}.org" ${NO_REMOTE}`,
      '198.51.100': `"198.51.100" ${NO_REMOTE}`,
      '198.51.100.256': `"198.51.100.256" ${NO_REMOTE}`,
      '198.51.100.2/24': `"198.51.100.2/24" ${NO_REMOTE}`,
      '012.51.100.2': `"012.51.100.2" ${NO_REMOTE}`,
      '2001:db8::2::': `"2001:db8::2::" ${NO_REMOTE}`,
      '[2001:db8::2': `"[2001:db8::2" ${NO_REMOTE}`,
      '[2001:db8::2]5149': `"[2001:db8::2]5149" ${NO_REMOTE}`,
      '[]:5149': `"[]:5149" ${NO_REMOTE}`,
      'host:': `"" ${NO_PORT}`,
      'host:0': `"0" ${NO_PORT}`,
      '198.51.100.2:65536': `"65536" ${NO_PORT}`,
      '[2001:db8::2]:x': `"x" ${NO_PORT}`,
      '0.0.0.0': `"0.0.0.0" is an unspecified ${NOBODY}`,
      '224.0.0.1:5149': `"224.0.0.1:5149" is a multicast ${NOBODY}`,
      '255.255.255.255': `"255.255.255.255" is a broadcast ${NOBODY}`,
      '[ff02::1%eth0]:5149': `"[ff02::1%eth0]:5149" is a multicast ${NOBODY}`,
    },
  },
  'where to listen': {
    parse: parseListen,
    taken: {
      '5149': { address: undefined, port: 5149 },
      '192.0.2.1:7000': { address: '192.0.2.1', port: 7000 },
      '0.0.0.0:7000': { address: '0.0.0.0', port: 7000 },
      '[2001:db8::1]:7000': { address: '2001:db8::1', port: 7000 },
      '[::]:7000': { address: '::', port: 7000 },
      '[fe80::1%eth0]:7000': { address: 'fe80::1%eth0', port: 7000 },
      '0': { address: undefined, port: 0 },
      '[::]:0': { address: '::', port: 0 },
      'ppp0:5149': { address: undefined, interface: 'ppp0', port: 5149 },
      'br-lan.7:0': { address: undefined, interface: 'br-lan.7', port: 0 },
    },
    refused: {
      '': `"" ${NO_LISTEN}`,
      'host-a.example.net:5149': `"host-a.example.net:5149" ${NO_LISTEN}`,
      ppp0: `"ppp0" ${NO_LISTEN}`,
      '192.0.2:5149': `"192.0.2:5149" ${NO_LISTEN}`,
      '*:5149': `"*:5149" ${NO_LISTEN}`,
      ':5149': `":5149" ${NO_LISTEN}`,
      '192.0.2.1': `"192.0.2.1" ${NO_LISTEN}`,
      '2001:db8::1': `"2001:db8::1" ${NO_LISTEN}`,
      '[2001:db8::1]': `"[2001:db8::1]" ${NO_LISTEN}`,
      '65536': `"65536" ${NO_LISTEN_PORT}`,
      '192.0.2.1:': `"" ${NO_LISTEN_PORT}`,
    },
  },
  'a MAC': {
    parse: parseOwnMac,
    taken: {
      '02:00:00:00:00:01': [2, 0, 0, 0, 0, 1],
      '02-AB-cd-EF-00-ff': [2, 0xab, 0xcd, 0xef, 0, 0xff],
    },
    refused: {
      '': `"" ${NO_MAC}`,
      '02:00:00:00:00': `"02:00:00:00:00" ${NO_MAC}`,
      '2:0:0:0:0:1': `"2:0:0:0:0:1" ${NO_MAC}`,
      '0200.0000.0001': `"0200.0000.0001" ${NO_MAC}`,
      '01:00:5e:00:00:01':
        '"01:00:5e:00:00:01" is a group address, which no device can have; make the first byte even, such as 02',
      'ff:ff:ff:ff:ff:ff':
        '"ff:ff:ff:ff:ff:ff" is a group address, which no device can have; make the first byte even, such as 02',
      '00:00:00:00:00:00':
        '"00:00:00:00:00:00" is all zeros, which no device can have; write another such as 02:00:00:00:00:01',
    },
  },
  'a device name': {
    parse: parseDeviceName,
    taken: { tap0: 'tap0', 'my-tap.7': 'my-tap.7', exactly15chars_: 'exactly15chars_', '5': '5' },
    refused: Object.fromEntries(
      ['', '.', '..', 'sixteen_letters_', 'a b', 'a/b', 'a:b', 'tap%d', 'tap\t0', 'täp0'].map((text) => [
        text,
        `"${text}" ${NO_DEVICE}`,
      ]),
    ),
  },
  'an MTU': {
    parse: parseMtu,
    taken: { '68': 68, '1458': 1458, '65521': 65_521, safe: 'safe' },
    refused: Object.fromEntries(
      ['', '67', '65522', '1500.5', '1e3', ' 1500', '-1500', 'Safe', 'Auto'].map((text) => [
        text,
        `"${text}" ${NO_MTU}`,
      ]),
    ),
  },
}

for (const [what, { parse, taken, refused }] of Object.entries(TABLES)) {
  t.test(`${what}: every form that is taken`, async (t) => {
    for (const [text, value] of Object.entries(taken)) t.strictSame(parse(text), value, `"${text}"`)
  })

  t.test(`${what}: every form that is refused, with the value and what to do`, async (t) => {
    for (const [text, message] of Object.entries(refused)) {
      t.throws(() => parse(text), { name: 'RangeError', message }, `"${text}"`)
    }
  })
}

t.test('no text makes a parser throw anything but its sentence', async (t) => {
  const odd = fc.string({ unit: fc.constantFrom(...'019.:[]/%-_azAZ ü\0\n'), maxLength: 40 })
  const text = fc.oneof(fc.string({ unit: 'binary' }), odd, fc.ipV4Extended(), fc.ipV6(), fc.domain())
  const property = fc.property(text, (text) => {
    for (const [what, { parse }] of Object.entries(TABLES)) {
      try {
        parse(text)
      } catch (error) {
        const sentence = /^".*" (is|has) .*; .+/s
        if (!(error instanceof RangeError && sentence.test(error.message))) {
          throw new Error(`${what}: ${error}`, { cause: error })
        }
      }
    }
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 3_000 }))
})

t.test('what a remote and a place to listen are made of is what they are parsed to', async (t) => {
  const nobody = ['multicast', 'broadcast', 'unspecified']
  const host = fc.oneof(fc.ipV4(), fc.ipV6()).filter((host) => !nobody.includes(ipaddr.parse(host).range()))
  const property = fc.property(host, fc.integer({ min: 1, max: 65_535 }), (host, port) => {
    const text = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const [remote, plain, listen] = [parseRemote(text), parseRemote(host), parseListen(text)]
    return (
      remote.host === host &&
      remote.port === port &&
      plain.host === host &&
      plain.port === 5149 &&
      listen.address === host &&
      listen.port === port
    )
  })
  t.doesNotThrow(() => fc.assert(property))
})

/** Writes a configuration file and reads it. */
function file(t: Test, ...lines: string[]): ConfigFile {
  const path = join(t.testdir(), 'tunnel.yaml')
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
  return readConfigFile(path)
}

/** What `load` is refused with: an error for people, of a mistake in usage, on one line. */
function refusal(load: () => unknown): string {
  try {
    load()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    if (error.exitCode !== 2 || /\n/.test(error.message)) throw new Error(`not a usage error: ${error}`)
    return error.message
  }
  throw new Error('it was not refused')
}

const LEAST = { local: ['10.9.0.1'], remote: 'host-b' }

t.test('defaults', async (t) => {
  t.strictSame(loadSettings(LEAST), {
    local: [{ address: '10.9.0.1', family: 'ipv4', prefixLength: 24 }],
    peers: [
      {
        name: 'host-b',
        endpoint: { host: 'host-b', port: 5149 },
        addresses: [],
        macs: [],
        prefixes: [],
        everything: true,
      },
    ],
    mode: 'tap',
    encap: 'auto',
    listen: { address: undefined, port: 5149 },
    mtu: 'auto',
    mtu_refresh: 600,
    vlan: false,
    mss_clamp: false,
    tos: 'off',
    offload: 'auto',
    datapath: 'auto',
    warm_up: 'auto',
    fwmark: 0,
    table: 'auto',
    dns: [],
    relay: false,
    introduce: false,
    crypto_workers: 'auto',
    relay_limit: 100,
    port_mapping: false,
    accept_any: false,
    wait: false,
    log_level: 'info',
    json: false,
  })
})

t.test('a tap needs no address', async (t) => {
  t.same(loadSettings({ remote: 'host-b' }).local, [])
  t.same(loadSettings({ peers: ['host-b'] }).local, [])
  t.same(loadSettings({}, file(t, 'local: []', 'remote: host-b')).local, [])
  const from = loadSettings({ peers: ['host-c'] }, file(t, 'local: [10.9.0.7]', 'remote: host-b')).local
  t.match(from, [{ address: '10.9.0.7' }], 'the flag replaces only the remote')
})

t.test('a file may say everything', async (t) => {
  const settings = loadSettings(
    {},
    file(
      t,
      '# a tunnel',
      'local: [10.9.0.1/16, "fd00:9::1"]',
      'remote: "[2001:db8::2]:7000"',
      'mode: tap',
      'dev: tap7',
      'netns: /proc/4711/ns/net',
      'listen: "[2001:db8::1]:7001"',
      'mac: 02:00:00:00:00:07',
      'mtu: 1400',
      'mtu_refresh: 60',
      'vlan: true',
      'mss_clamp: true',
      'tos: inherit',
      'offload: off',
      'datapath: auto',
      'warm_up: off',
      'fwmark: "0x10"',
      'table: off',
      'dns: [10.9.0.53, example.net]',
      'hosts: Office.internal',
      'metrics: "[::1]:9149"',
      'accept_any: true',
      'wait: true',
      'log_level: debug',
      'json: true',
    ),
  )
  t.strictSame(settings, {
    local: [
      { address: '10.9.0.1', family: 'ipv4', prefixLength: 16 },
      { address: 'fd00:9::1', family: 'ipv6', prefixLength: 64 },
    ],
    peers: [
      {
        name: '[2001:db8::2]:7000',
        endpoint: { host: '2001:db8::2', port: 7000 },
        addresses: [],
        macs: [],
        prefixes: [],
        everything: true,
      },
    ],
    mode: 'tap',
    encap: 'auto',
    dev: 'tap7',
    netns: '/proc/4711/ns/net',
    listen: { address: '2001:db8::1', port: 7001 },
    mac: [2, 0, 0, 0, 0, 7],
    mtu: 1400,
    mtu_refresh: 60,
    vlan: true,
    mss_clamp: true,
    tos: 'inherit',
    offload: 'off',
    datapath: 'auto',
    warm_up: 'off',
    fwmark: 16,
    table: 'off',
    dns: ['10.9.0.53', 'example.net'],
    hosts: 'office.internal',
    metrics: { address: '::1', port: 9149 },
    relay: false,
    introduce: false,
    crypto_workers: 'auto',
    relay_limit: 100,
    port_mapping: false,
    accept_any: true,
    wait: true,
    log_level: 'debug',
    json: true,
  })
  // Those of a private tunnel have tests of their own: keys.test.ts, record-peer.test.ts, access-rule.test.ts, discovery.test.ts. VXLAN's
  // are in vxlan.test.ts.
  const secret = ['private_key_file', 'network_key', 'allow', 'discovery']
  const aside = new Set([...PEER_KEYS, ...secret, 'remote', 'vni'])
  const all = Object.keys(settingsSchema.shape).filter((key) => !aside.has(key))
  t.strictSame(Object.keys(settings).sort(), all.sort(), 'that is all there is')
})

t.test('a network namespace is a name or an absolute path', async (t) => {
  for (const netns of ['blue', 'a.b-c', '...', '/run/netns/blue', '/proc/1/ns/net'])
    t.equal(loadSettings({ ...LEAST, netns }, undefined).netns, netns)
  for (const netns of ['', '.', '..', './blue', 'a/b', 'a b', '/'])
    t.throws(
      () => loadSettings({ ...LEAST, netns }, undefined),
      { message: /is no network namespace/, exitCode: 2 },
      netns,
    )
})

t.test(
  'an address of the overlay may be that of a peer, if the device is in a namespace of its own',
  async (t) => {
    const around = { ...LEAST, local: ['192.0.2.9/24'], remote: '192.0.2.2' }
    t.throws(() => loadSettings(around, undefined), { message: /lies inside the overlay network/ })
    t.equal(loadSettings({ ...around, netns: 'blue' }, undefined).netns, 'blue')
  },
)

t.test('numbers need no quotes in a file', async (t) => {
  const settings = loadSettings(LEAST, file(t, 'listen: 7001', 'mtu: 1400', 'dev: 7'))
  t.match(settings, { listen: { address: undefined, port: 7001 }, mtu: 1400, dev: '7' })
})

t.test('a flag wins over the file, one that was not given does not', async (t) => {
  const config = file(t, 'local: [10.9.0.7]', 'remote: host-c', 'mode: tun', 'mtu: 1400', 'log_level: warn')
  const flags = { ...LEAST, mode: 'tap', mtu: undefined, log_level: undefined, accept_any: true }
  t.match(loadSettings(flags, config), {
    local: [{ address: '10.9.0.1' }],
    peers: [{ endpoint: { host: 'host-b' } }],
    mode: 'tap',
    mtu: 1400,
    log_level: 'warn',
    relay: false,
    introduce: false,
    crypto_workers: 'auto',
    relay_limit: 100,
    port_mapping: false,
    accept_any: true,
  } satisfies Partial<Record<keyof Settings, unknown>>)
})

t.test('a file may have several peers, each as long or as short as it likes', async (t) => {
  const { peers } = loadSettings(
    {},
    file(
      t,
      'local: [10.9.0.1]',
      'peers:',
      '  - host-b',
      '  - 198.51.100.3:7000',
      '  - name: office',
      '    endpoint: "[2001:db8::4]"',
      '    addresses: [10.9.0.4, "FD00:9:0::4"]',
      '    macs: [02-00-00-00-00-04]',
    ),
  )
  const none = { addresses: [], macs: [], prefixes: [], everything: false }
  t.strictSame(peers, [
    { name: 'host-b', endpoint: { host: 'host-b', port: 5149 }, ...none },
    { name: '198.51.100.3:7000', endpoint: { host: '198.51.100.3', port: 7000 }, ...none },
    {
      name: 'office',
      endpoint: { host: '2001:db8::4', port: 5149 },
      addresses: ['10.9.0.4', 'fd00:9::4'],
      macs: [[2, 0, 0, 0, 0, 4]],
      prefixes: [],
      everything: false,
    },
  ])
})

t.test('in mode tun an only peer has everything, unless it is said to have nothing', async (t) => {
  const peer = (...lines: string[]) =>
    loadSettings({}, file(t, 'local: [10.9.0.1]', 'mode: tun', 'peers:', ...lines)).peers.map(
      ({ everything, prefixes }) => [everything, prefixes.length],
    )
  t.same(peer('  - host-b'), [[true, 0]])
  t.same(peer('  - {endpoint: host-b, prefixes: []}'), [[false, 0]])
  t.same(peer('  - {endpoint: host-b, addresses: [10.9.0.2]}'), [[false, 0]])
  t.same(peer('  - {endpoint: b, prefixes: []}', '  - {endpoint: c, prefixes: [10.9.3.0/24]}'), [
    [false, 0],
    [false, 1],
  ])
})

t.test('in mode tun there may be no overlay address', async (t) => {
  t.same(loadSettings({}, file(t, 'local: []', 'mode: tun', 'remote: b')).local, [])
})

t.test('in mode tun a peer has prefixes, whose bits behind the length do not matter', async (t) => {
  const { peers } = loadSettings(
    { mode: 'tun' },
    file(
      t,
      'local: [10.9.0.1]',
      'peers:',
      '  - {endpoint: b, prefixes: [10.9.130.77/18, "fd00:9:8::ffff/45", 0.0.0.0/0]}',
      '  - {endpoint: c, addresses: [10.9.0.3]}',
    ),
  )
  t.strictSame(peers[0].prefixes, [
    { address: '10.9.128.0', family: 'ipv4', prefixLength: 18 },
    { address: 'fd00:9:8::', family: 'ipv6', prefixLength: 45 },
    { address: '0.0.0.0', family: 'ipv4', prefixLength: 0 },
  ])
})

t.test('peers on the command line take the place of those in the file, remote or peers', async (t) => {
  const names = (settings: Settings) => settings.peers.map(({ name }) => name)
  const flags = { local: ['10.9.0.1'], peers: ['host-x', 'host-y:7'] }
  t.strictSame(names(loadSettings(flags, file(t, 'peers: [host-b]'))), ['host-x', 'host-y:7'])
  t.strictSame(names(loadSettings(flags, file(t, 'remote: host-b'))), ['host-x', 'host-y:7'])
  t.strictSame(names(loadSettings(LEAST, file(t, 'peers: [host-x, host-y]'))), ['host-b'])
})

t.test('an empty file is as good as none', async (t) => {
  t.strictSame(loadSettings(LEAST, file(t)), loadSettings(LEAST))
  t.strictSame(loadSettings(LEAST, file(t, '# nothing', '---')), loadSettings(LEAST))
})

const THERE_ARE =
  'there are local, remote, peers, mode, encap, vni, dev, netns, listen, mac, mtu, mtu_refresh, vlan, mss_clamp, tos, offload, datapath, warm_up, crypto_workers, relay, introduce, relay_limit, port_mapping, allow, accept_any, wait, fwmark, table, dns, hosts, metrics, log_level, json, discovery, private_key_file, network_key, record, public_key, preshared_key_file, persistent_keepalive, introducer'

/** Lines of a file, and the sentence it is refused with behind its path. */
const REFUSED_FILES: readonly (readonly [lines: readonly string[], message: string])[] = [
  [
    ['local: [10.9.0.1]', 'remote: host-b', 'mtuu: 1400'],
    `:3: mtuu: there is no setting "mtuu" (did you mean "mtu"?); ${THERE_ARE}`,
  ],
  [
    ['locals: [10.9.0.1]', 'remote: host-b'],
    `:1: locals: there is no setting "locals" (did you mean "local"?); ${THERE_ARE}`,
  ],
  [['', 'constructor: 1'], `:2: constructor: there is no setting "constructor"; ${THERE_ARE}`],
  [['local: [10.9.0.1]', 'remote: host:b'], `:2: remote: "b" ${NO_PORT}`],
  [['local:', '  - 10.9.0.1', '  - 10.9.0.300', 'remote: host-b'], `:1: local: "10.9.0.300" ${NO_LOCAL}`],
  [
    ['remote: host-b', 'local: 10.9.0.1'],
    ':2: local: "10.9.0.1" is not right; write a list, such as [10.9.0.1/24]',
  ],
  [['remote: b', 'mode: tun'], ': local is missing; add a line such as: local: [10.9.0.1]'],
  [
    ['local: [10.9.0.1]', 'remote: [host-b]'],
    ':2: remote: ["host-b"] is not right; write a text or a number',
  ],
  [['offload: some', 'local: [10.9.0.1]', 'remote: b'], ':1: offload: "some" is not right; use auto or off'],
  [['mode: bridge', 'local: [10.9.0.1]', 'remote: b'], ':1: mode: "bridge" is not right; use tap or tun'],
  [
    ['local: [10.9.0.1]', 'remote: b', 'log_level: loud'],
    ':3: log_level: "loud" is not right; use debug, info, warn, error or silent',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'accept_any: "yes"'],
    ':3: accept_any: "yes" is not right; use true or false',
  ],
  [['local: [10.9.0.1]', 'remote: b', 'mtu: 12'], `:3: mtu: "12" ${NO_MTU}`],
  [['local: [10.9.0.1]', 'remote: b', 'listen: 70000'], `:3: listen: "70000" ${NO_LISTEN_PORT}`],
  [['local: [10.9.0.1]', 'remote: b', 'dev: a/b'], `:3: dev: "a/b" ${NO_DEVICE}`],
  [['local: [10.9.0.1]', 'remote: b', 'mac: 2:0:0:0:0:1'], `:3: mac: "2:0:0:0:0:1" ${NO_MAC}`],
  [['local: [10.9.0.1]', 'remote: b', 'mtu:'], ':3: mtu is missing; give it a value or leave it out'],
  [['local: [10.9.0.1]', 'remote:'], ':2: remote is missing; add a line such as: remote: host-b'],
  [
    ['local: [10.9.0.1]', 'remote: b', 'mode: tun', 'mac: 02:00:00:00:00:01'],
    ':4: mac: makes no sense with mode tun, which has no Ethernet; leave one of them out',
  ],
  [
    ['mtu: 1279', 'local: [10.9.0.1, "fd00::1"]', 'remote: b'],
    ":1: mtu: 1279 is below IPv6's least MTU of 1280 bytes, and fd00::1 is IPv6; give at least 1280 or leave one of them out",
  ],
  [
    ['mtu: safe', 'local: ["fd00::1"]', 'remote: b'],
    ":1: mtu: safe is below IPv6's least MTU of 1280 bytes, and fd00::1 is IPv6; give a number or leave one of them out",
  ],
  [
    ['local: [10.9.0.1]', 'remote: "2001:db8::2"', 'listen: 192.0.2.1:7001'],
    `:3: listen: "192.0.2.1" and the remote "2001:db8::2" are not of one family, IPv4 or IPv6; leave the address out, or give one like the remote's`,
  ],
  [
    ['local: ["fd00::1", "FD00:0::1/60"]', 'remote: b'],
    ':1: local: "fd00::1" is given twice; leave one of them out',
  ],
  [
    ['local: [10.9.0.1]', 'remote: 10.9.0.200'],
    `:2: remote: "10.9.0.200" lies inside the overlay network 10.9.0.1/24, so the tunnel's own datagrams would go into the tunnel; choose another overlay network`,
  ],
  [
    ['local: [10.9.0.1]', '', 'remote: b', 'local: [10.9.0.2]'],
    ':4: this is not valid YAML (Map keys must be unique); mend it',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'peers: [c]'],
    ':3: peers: the remote is one peer already; write all of them as peers, or only the remote',
  ],
  [
    ['local: [10.9.0.1]', 'peers: []'],
    ':2: peers: is an empty list, and a tunnel without keys needs a peer; give at least one, such as [host-b]',
  ],
  [
    ['local: [10.9.0.1]', 'peers:'],
    ':2: peers: is an empty list, and a tunnel without keys needs a peer; give at least one, such as [host-b]',
  ],
  [
    ['local: [10.9.0.1]', 'peers: host-b'],
    ':2: peers: "host-b" is not right; write a list, such as [host-b, host-c]',
  ],
  [['local: [10.9.0.1]', 'peers:', '  - host-b', '  - host:c'], `:4: peers[1].endpoint: "c" ${NO_PORT}`],
  [
    ['local: [10.9.0.1]', 'peers:', '  - endpoint: b', '    endpont: c'],
    ':4: peers[0].endpont: there is no setting "endpont" (did you mean "endpoint"?); there are name, endpoint, addresses, prefixes, macs, record, groups, public_key, preshared_key_file, persistent_keepalive, introducer',
  ],
  [
    ['local: [10.9.0.1]', 'peers:', '  - endpoint: b', '  - name: c'],
    ':4: peers[1]: has no endpoint; give it one, such as host-b',
  ],
  [
    ['local: [10.9.0.1]', 'peers:', '  - 7'],
    ':3: peers[0]: 7 is not right; write an endpoint, such as host-b, or settings of a peer, such as {endpoint: host-b}',
  ],
  [
    [
      'local: [10.9.0.1]',
      'peers:',
      '  - {endpoint: b, addresses: [10.9.0.2]}',
      '  - {endpoint: c, addresses: [10.9.0.2]}',
    ],
    ':4: peers[1].addresses: "10.9.0.2" is given twice; leave one of them out',
  ],
  [
    ['local: [10.9.0.2/24, fd00::2]', 'peers:', '  - endpoint: a', '    addresses: [10.9.0.1, fd00:0::2]'],
    ':4: peers[0].addresses: "fd00::2" is this host\'s own overlay address, as local says; give the address of the peer',
  ],
  [['local: [10.9.0.1]', 'peers: [b, b]'], ':2: peers[1]: "b" is given twice; leave one of them out'],
  [
    ['local: [10.9.0.1]', 'peers: [b, {name: c, endpoint: b}]'],
    ':2: peers[1].endpoint: "b" is given twice; leave one of them out',
  ],
  [
    ['local: [10.9.0.1]', 'peers: [b, 10.9.0.9]'],
    `:2: peers[1]: "10.9.0.9" lies inside the overlay network 10.9.0.1/24, so the tunnel's own datagrams would go into the tunnel; choose another overlay network`,
  ],
  [
    ['local: [10.9.0.1]', 'mode: tun', 'peers: [b, c]'],
    ':3: peers[0]: "b" has neither addresses nor prefixes, and in mode tun those decide where a packet goes; give it some',
  ],
  [
    ['local: [10.9.0.1]', 'peers:', '  - {endpoint: b, prefixes: [10.9.1.0/24]}'],
    ':3: peers[0].prefixes: are for mode tun; in mode tap MACs are learnt, so leave them out',
  ],
  [
    ['local: [10.9.0.1]', 'mode: tun', 'peers: [{endpoint: b, prefixes: [10.9.1.0/33]}]'],
    ':3: peers[0].prefixes: "10.9.1.0/33" has the prefix "33"; for 10.9.1.0 use a number from 0 to 32',
  ],
  [
    ['local: [10.9.0.1]', 'peers:', '  - {endpoint: b, introducer: true}'],
    ':3: peers[0].introducer: is for private tunnels, because only keys tell members apart; give a private_key_file, or leave it out',
  ],
  [
    ['local: [10.9.0.1]', 'introduce: true', 'remote: b'],
    ':2: introduce: is for private tunnels, because only keys tell members apart; give a private_key_file, or leave it out',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'relay_limit: fast'],
    ':3: relay_limit: "fast" is not a limit; write Mbit/s from 0 to 1000000',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'crypto_workers: 17'],
    ':3: crypto_workers: "17" is no number of threads; write 0 to 16, or auto',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'crypto_workers: 2'],
    ':3: crypto_workers: is for private tunnels, because others seal nothing; leave it out',
  ],
  [
    ['local: [10.9.0.1]', 'remote: b', 'introducer: maybe'],
    ':3: introducer: "maybe" is not right; use true or false',
  ],
  [
    ['local: [10.9.0.1]', 'relay: true', 'mode: tun', 'remote: b'],
    ':2: relay: makes no sense with mode tun, because the kernel routes between peers (net.ipv4.ip_forward); leave it out',
  ],
  [
    [
      'local: [10.9.0.1]',
      'mode: tun',
      'peers:',
      ` - {endpoint: b, addresses: [${Array.from({ length: 16_385 }, (_, index) => `10.8.${index >> 8}.${index & 255}`)}]}`,
    ],
    ':3: peers: have 16385 addresses and prefixes together, and there is room for 16384; write larger prefixes, or fewer of them',
  ],
  [
    ['local: [10.9.0.1]', 'accept_any: true', 'peers: [b, c]'],
    ':2: accept_any: makes no sense with several peers, which their addresses tell apart; leave it out',
  ],
  [['- local', '- remote'], ' must hold "key: value" lines, such as "remote: host-b"'],
  [['host-b'], ' must hold "key: value" lines, such as "remote: host-b"'],
]

t.test('every mistake in a file is named with its line, the value and what to do', async (t) => {
  const path = join(t.testdirName, 'tunnel.yaml')
  for (const [lines, message] of REFUSED_FILES) {
    t.equal(
      refusal(() => loadSettings({}, file(t, ...lines))),
      `${path}${message}`,
    )
  }
})

t.test('what is no YAML is named with its line', async (t) => {
  t.match(
    refusal(() => file(t, 'local: [10.9.0.1]', 'remote: "host-b', 'mode: tap')),
    /tunnel\.yaml:\d+: this is not valid YAML \(.+\); mend it$/,
  )
  t.match(
    refusal(() => file(t, 'local: [10.9.0.1]', ' remote: host-b')),
    /tunnel\.yaml:\d+: this is not valid YAML \(.+\); mend it$/,
  )
})

t.test('a file that cannot be read is named, and why', async (t) => {
  const nowhere = join(t.testdir(), 'nowhere.yaml')
  t.equal(
    refusal(() => readConfigFile(nowhere)),
    `${nowhere} cannot be read (ENOENT); check --config`,
  )
  const directory = t.testdir()
  t.equal(
    refusal(() => readConfigFile(directory)),
    `${directory} cannot be read (EISDIR); check --config`,
  )
})

const SAY_WHAT = 'give an overlay address and the remote, such as: udptun-fast start 10.9.0.1 198.51.100.2'

const REFUSED_FLAGS: readonly (readonly [flags: Record<string, unknown>, message: string])[] = [
  [{}, `remote is missing; ${SAY_WHAT}`],
  [{ remote: 'host-b', mode: 'tun' }, `local is missing; ${SAY_WHAT}`],
  [{ local: ['10.9.0.1'] }, `remote is missing; ${SAY_WHAT}`],
  [{ ...LEAST, local: ['10.9.0'] }, `local: "10.9.0" ${NO_LOCAL}`],
  [{ ...LEAST, remote: 'host:99999' }, `remote: "99999" ${NO_PORT}`],
  [{ ...LEAST, mtu: '12' }, `--mtu: "12" ${NO_MTU}`],
  [{ ...LEAST, listen: 'x' }, `--listen: "x" ${NO_LISTEN}`],
  [
    { ...LEAST, log_level: 'loud' },
    '--log-level: "loud" is not right; use debug, info, warn, error or silent',
  ],
  [
    { ...LEAST, mode: 'tun', mac: '02:00:00:00:00:01' },
    '--mac: makes no sense with mode tun, which has no Ethernet; leave one of them out',
  ],
  [{ ...LEAST, mtu_refresh: '0' }, '--mtu-refresh: "0" is not a time; write seconds from 1 to 86400'],
  [
    { ...LEAST, mode: 'tun', vlan: true },
    '--vlan: makes no sense with mode tun, which has no Ethernet; leave one of them out',
  ],
]

t.test('every mistake in a flag is named with the flag, the value and what to do', async (t) => {
  for (const [flags, message] of REFUSED_FLAGS)
    t.equal(
      refusal(() => loadSettings(flags)),
      message,
    )
})

t.test('the one to blame is named: the flag that wins, or the line of the file', async (t) => {
  const config = file(t, 'local: [10.9.0.1]', 'remote: host-b', 'mtu: 12')
  t.match(
    refusal(() => loadSettings({}, config)),
    /tunnel\.yaml:3: mtu: "12"/,
  )
  t.match(
    refusal(() => loadSettings({ mtu: '13' }, config)),
    /^--mtu: "13"/,
  )
  t.doesNotThrow(() => loadSettings({ mtu: '1300' }, config))
})

t.test('what the file lacks is said with the name of the file', async (t) => {
  for (const [line, says] of [
    ['', ': remote is missing; add a line such as: remote: host-b'],
    ['mode: tun', ': local is missing; add a line such as: local: [10.9.0.1]'],
    ['local: [10.9.0.1]', ': remote is missing; add a line such as: remote: host-b'],
  ]) {
    const config = file(t, line)
    t.equal(
      refusal(() => loadSettings({}, config)),
      config.path + says,
    )
  }
  const wireguard = { ...file(t, ''), examples: { local: 'another', remote: 'another' } }
  t.match(
    refusal(() => loadSettings({}, wireguard)),
    /: remote is missing; another$/,
  )
})

t.test('who listens on every address reaches a remote of either family', async (t) => {
  for (const remote of ['198.51.100.2', '2001:db8::2', 'host-b']) {
    t.doesNotThrow(() => loadSettings({ ...LEAST, remote, listen: '[::]:7001' }), remote)
  }
  t.throws(() => loadSettings({ ...LEAST, remote: '2001:db8::2', listen: '0.0.0.0:7001' }))
})

t.test('an overlay network contains its addresses and no others', async (t) => {
  const network = { address: '10.9.0.1', prefixLength: 23 }
  t.ok(contains(network, '10.9.1.255'))
  t.notOk(contains(network, '10.9.2.0'))
  t.notOk(contains(network, 'fd00::1'))
  t.ok(contains({ address: 'fe80::1', prefixLength: 64 }, 'fe80::2%eth0'))
})
