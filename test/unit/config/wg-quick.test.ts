import { randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadSettings } from '../../../src/config/load.js'
import type { Settings } from '../../../src/config/schema.js'
import { parseWgQuick, readWgQuick } from '../../../src/config/wg-quick.js'
import { formatKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'

const SECRET = clampPrivateKey(randomBytes(32))
const OWN = formatKey(SECRET)
const PSK = formatKey(randomBytes(32))
const publicKey = () => formatKey(derivePublicKey(clampPrivateKey(randomBytes(32))))
const OTHER = publicKey()
const THIRD = publicKey()
const ZEROS = formatKey(Buffer.alloc(32))

const FILE = `# a comment
[Interface]
PrivateKey = ${OWN}
Address = 10.9.0.1/24, fd00:9::1/64
address = 10.9.1.1
ListenPort = 51820
MTU = 1400

[Peer] # the first
PublicKey = ${OTHER}
PresharedKey = ${PSK}
Endpoint = [2001:db8::2]:51821
AllowedIPs = 10.9.0.2/32, fd00:9::2/128
AllowedIPs = 0.0.0.0/0
PersistentKeepalive = 25

[peer]
publickey = ${THIRD}
AllowedIPs = 10.9.0.3/32
PersistentKeepalive = off
`

const parse = (text: string, skipHooks = false) => parseWgQuick('wg0.conf', Buffer.from(text), { skipHooks })
const load = (text: string, flags = {}): Settings => loadSettings(flags, parse(text))

function messageOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}

/** A file with one peer: lines of `[Interface]` and of `[Peer]` beside the keys. */
const file = (interfaceLines: string, peerLines = '') =>
  `[Interface]\nPrivateKey = ${OWN}\n${interfaceLines}\n[Peer]\nPublicKey = ${OTHER}\n${peerLines}\n`

const peersOf = (text: string) =>
  load(text).peers.map((it) => ({
    key: formatKey(it.public_key ?? Buffer.alloc(0)),
    endpoint: it.endpoint,
    prefixes: it.prefixes.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    keepalive: it.persistent_keepalive,
    psk: it.preshared_key_file && formatKey(it.preshared_key_file.reveal()),
  }))

t.test('a file for wg-quick is settings for a tun device', async (t) => {
  const settings = load(FILE)
  t.equal(settings.mode, 'tun')
  t.equal(formatKey(settings.private_key_file?.reveal() ?? Buffer.alloc(0)), OWN)
  t.same(
    settings.local.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    ['10.9.0.1/24', 'fd00:9::1/64', '10.9.1.1/32'],
  )
  t.equal(settings.listen.port, 51820)
  t.equal(settings.mtu, 1400)
  t.equal(settings.peers[1].name, THIRD.slice(0, 8))
  t.same(peersOf(FILE), [
    {
      key: OTHER,
      endpoint: { host: '2001:db8::2', port: 51821 },
      prefixes: ['10.9.0.2/32', 'fd00:9::2/128', '0.0.0.0/0'],
      keepalive: 25,
      psk: PSK,
    },
    { key: THIRD, endpoint: undefined, prefixes: ['10.9.0.3/32'], keepalive: 0, psk: undefined },
  ])
})

t.test('what is wrong in it is said with its line, and no key is ever repeated', async (t) => {
  const cases: readonly [string, string, RegExp][] = [
    [`PrivateKey = ${OWN}`, `PrivateKey = ${OWN.slice(1)}`, /^wg0.conf:3: PrivateKey: this is not a key/],
    [`PrivateKey = ${OWN}`, `PrivateKey = ${ZEROS}`, /^wg0.conf:3: PrivateKey: a key of zeros/],
    ['ListenPort = 51820', 'ListenPort = 99999', /^wg0.conf:6: ListenPort: "99999" is not a port/],
    ['MTU = 1400', 'MTU = auto', /^wg0.conf:7: MTU: "auto" is not an MTU/],
    ['MTU = 1400', 'FwMark = x', /^wg0.conf:7: FwMark: "x" is not a mark/],
    ['MTU = 1400', 'SaveConfig = yes', /^wg0.conf:7: SaveConfig: "yes" is neither true nor false/],
    ['MTU = 1400', 'M T U = 1400', /^wg0.conf:7: there is no such key/],
    [
      'MTU = 1400',
      'Mtuu = 1400',
      /^wg0.conf:7: there is no such key in \[Interface\]; there are PrivateKey, /,
    ],
    ['[Peer] # the first', '[Friend]', /^wg0.conf:9: there is no such section/],
    ['[Interface]', '', /^wg0.conf:3: a section must come first/],
    ['MTU = 1400', 'MTU', /^wg0.conf:7: this is neither/],
    [`PublicKey = ${OTHER}\n`, '\n', /^wg0.conf:9: this peer has no PublicKey/],
    [`PrivateKey = ${OWN}\n`, '\n', /^wg0.conf has no PrivateKey/],
    ['10.9.0.3/32', '10.9.0.3/33', /^wg0.conf:19: AllowedIPs: "10.9.0.3\/33" has the prefix/],
    ['10.9.0.3/32', '10.9.0.3/32,', /^wg0.conf:19: AllowedIPs: an address is missing beside a comma/],
    ['AllowedIPs = 10.9.0.3/32', 'AllowedIPs =', /^wg0.conf:19: AllowedIPs has no value/],
    [':51821', '', /^wg0.conf:12: Endpoint: there is no port, and wg does not take that either/],
    ['[2001:db8::2]:51821', 'host-b:', /^wg0.conf:12: Endpoint: there is no port/],
    ['[2001:db8::2]:51821', 'host-b:0', /^wg0.conf:12: Endpoint: "0" is not a port/],
    ['fd00:9::1/64', '10.9.0.1/32', /^wg0.conf:5: local: "10.9.0.1" is given twice/],
    ['PersistentKeepalive = 25', 'PersistentKeepalive = 65536', /^wg0.conf:15: PersistentKeepalive: "65536"/],
    ['# a comment', '\ufeff# a comment', /^wg0.conf:1: the file begins with a byte-order mark/],
  ]
  for (const [part, instead, expected] of cases) {
    t.ok(FILE.includes(part), part)
    const message = messageOf(() => load(FILE.replace(part, instead)))
    t.match(message, expected)
    t.notOk(message.includes(OWN.slice(2, 40)) || message.includes(PSK.slice(2, 40)), message)
  }
})

t.test('a file without peers is an interface that waits for some', async (t) => {
  t.match(load(`[Interface]\nPrivateKey = ${OWN}\nListenPort = 7\n`), { peers: [], listen: { port: 7 } })
})

t.test("a peer's AllowedIPs may have this host's own address, as with wg", async (t) => {
  const text = `[Interface]\nPrivateKey = ${OWN}\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = ${OTHER}\nAllowedIPs = 10.9.0.1/32, 10.9.0.0/24\n`
  t.match(load(text).peers, [{ addresses: [] }])
})

t.test("this host's own key as a peer is left out and takes no network, as in wg", async (t) => {
  const self = `[Peer]\nPublicKey = ${formatKey(derivePublicKey(SECRET))}\nPresharedKey = ${PSK}\nAllowedIPs = 10.1.0.0/16\n`
  const { warnings } = parse(`${file('', 'AllowedIPs = 10.1.0.0/16')}${self}`)
  t.match(warnings, [/^wg0.conf:7: this peer's PublicKey is this host's own/])
  t.equal(warnings.length, 1)
  t.match(peersOf(`${file('', 'AllowedIPs = 10.1.0.0/16')}${self}`), [
    { key: OTHER, prefixes: ['10.1.0.0/16'] },
  ])
  t.same(load(`${self}[Interface]\nPrivateKey = ${OWN}\n`).peers, [], 'also if the private key comes last')
})

t.test('Table, FwMark and DNS are settings', async (t) => {
  const tables = {
    '': 'auto',
    'Table =': 'auto',
    'Table = Auto': 'auto',
    'Table = OFF': 'off',
    'Table = main': 254,
  }
  for (const [lines, table] of Object.entries({ ...tables, 'Table = 0x1234': 0x1234, 'Table = 7': 7 }))
    t.equal(load(file(lines)).table, table, lines)
  t.match(parse(file('Table = off\nTable = 7')).warnings, [/^wg0.conf:4: Table is given twice/])
  for (const [lines, mark] of Object.entries({
    '': 0,
    'FwMark = off': 0,
    'FwMark = 0xCA6C': 51_820,
    'fwmark=7': 7,
  }))
    t.equal(load(file(lines)).fwmark, mark, lines)
  t.same(load(file('')).dns, [])
  t.same(load(file('DNS = 10.9.0.53, fd00::53 example.net\nDNS = 10.9.0.54,')).dns, [
    '10.9.0.53',
    'fd00::53',
    'example.net',
    '10.9.0.54',
  ])
  for (const line of [
    'Table = 0',
    'Table = vpn',
    'Table = 4294967296',
    'Table = -1',
    'DNS = 10.9.0.256',
    'DNS = a_b..c',
  ])
    t.match(
      messageOf(() => load(file(line))),
      /^wg0.conf:3: (Table|DNS): "/,
      line,
    )
})

t.test('a file with hooks is refused, and with --skip-hooks each of them is a warning', async (t) => {
  const hooks = ['PreUp = a', 'postup = b', 'PostUp = c', 'PreDown = d', 'PostDown = wg set %i private-key x']
  const text = file(hooks.join('\n'))
  const message = messageOf(() => load(text))
  t.match(message, /^wg0.conf:3: this file has commands to run \(PreUp, PostUp, PreDown, PostDown\)/)
  t.match(message, /give --skip-hooks$/)
  const { warnings, values } = parse(text, true)
  t.same(
    warnings.map((it) => it.split(' is not run')[0]),
    ['3: PreUp', '4: PostUp', '5: PostUp', '6: PreDown', '7: PostDown'].map((it) => `wg0.conf:${it}`),
  )
  t.same(values, parse(file('')).values)
})

t.test('with leave to run them, hooks are returned in their order', async (t) => {
  const text = file(
    'PostUp = echo "=" %i # a comment\npreup=a\nPOSTUP\t=  two\nPostDown =\nSaveConfig = true\nTable = off',
  )
  const { quick, warnings } = parseWgQuick('wg0.conf', Buffer.from(text), { allowHooks: true, saves: true })
  t.same(warnings, [])
  t.same(quick, {
    hooks: { PreUp: ['a'], PostUp: ['echo "=" %i', 'two'], PreDown: [], PostDown: [''] },
    runsHooks: true,
    saveConfig: true,
    givesMtu: false,
    table: 'off',
  })
  const skipped = parseWgQuick('wg0.conf', Buffer.from(text), { skipHooks: true }).quick
  t.same({ ...skipped, runsHooks: true }, quick, 'a file that is written keeps them')
  t.notOk(skipped.runsHooks)
})

t.test('what is ignored here is said by name, and what asks for nothing is not', async (t) => {
  const { warnings: said } = parse(file('SaveConfig = True'))
  t.equal(said.length, 1)
  t.match(said[0], /^wg0.conf:3: SaveConfig is ignored/)
  const { warnings } = parse(file('Table = off\nFwMark = off\nSaveConfig = false\nMTU ='))
  t.same(warnings, [])
})

t.test('without a ListenPort, or with 0, the kernel chooses a port', async (t) => {
  for (const line of ['', 'ListenPort = 0']) t.same(load(file(line)).listen, { address: undefined, port: 0 })
  t.equal(load(file('ListenPort = 7'), { listen: '8' }).listen.port, 8, 'a flag wins')
})

t.test('white space and case do not matter, as in wg', async (t) => {
  const text = `[ INTERFACE ]\r\n\tprivate Key=${OWN.slice(0, 9)} ${OWN.slice(9)}\r\n[peer]#\r\nPUBLICKEY =${OTHER}\r\nendpoint = 192.0.2.2 : 7 \r\nAllowedIPs = 10.9.0.0 / 24 ,fd00::1\r\nPersistentKeepalive = OFF # never\r\n`
  const place = { endpoint: { host: '192.0.2.2', port: 7 }, keepalive: 0 }
  t.same(peersOf(text), [{ key: OTHER, psk: undefined, prefixes: ['10.9.0.0/24', 'fd00::1/128'], ...place }])
  t.equal(formatKey(load(text).private_key_file?.reveal() ?? Buffer.alloc(0)), OWN)
})

t.test('endpoints in every form that wg takes', async (t) => {
  const forms: Readonly<Record<string, { host: string; port: number }>> = {
    '192.0.2.2:51820': { host: '192.0.2.2', port: 51820 },
    '[2001:db8::2]:51820': { host: '2001:db8::2', port: 51820 },
    '2001:db8::2:51820': { host: '2001:db8::2', port: 51820 },
    '[fe80::1%eth0]:7': { host: 'fe80::1%eth0', port: 7 },
    'host-b.example.net:5149': { host: 'host-b.example.net', port: 5149 },
    '[host-b]:7': { host: 'host-b', port: 7 },
  }
  for (const [text, endpoint] of Object.entries(forms))
    t.same(peersOf(file('', `Endpoint = ${text}`))[0].endpoint, endpoint, text)
})

t.test('of two peers with a network the last one has it; twice at one peer it is one', async (t) => {
  const text = `${file('', 'AllowedIPs = 10.1.0.0/16, 10.2.0.0/16, 10.1.2.3/16')}[Peer]\nPublicKey = ${THIRD}\nAllowedIPs = 10.2.9.9/16\n`
  t.same(
    peersOf(text).map(({ prefixes }) => prefixes),
    [['10.1.0.0/16'], ['10.2.0.0/16']],
  )
  const { warnings } = parse(text)
  t.same(warnings, ["wg0.conf:9: a peer above has 10.2.0.0/16, too; it is this one's now, as in wg"])
})

t.test('a second section with a key changes the peer of the first', async (t) => {
  const other = `[Peer]\nPublicKey = ${THIRD}\nAllowedIPs = 10.1.0.0/16\n`
  const again = (lines: string) => `[Peer]\nPublicKey = ${OTHER}\n${lines}\n`
  const first = file(
    '',
    `Endpoint = b:7\nPresharedKey = ${PSK}\nPersistentKeepalive = 9\nAllowedIPs = 10.1.0.0/16, 10.2.0.0/16`,
  )
  const third = { key: THIRD, endpoint: undefined, keepalive: undefined, psk: undefined }
  const before = { key: OTHER, endpoint: { host: 'b', port: 7 }, keepalive: 9, psk: PSK }
  t.same(peersOf(first + other + again('')), [
    { ...before, prefixes: [] },
    { ...third, prefixes: ['10.1.0.0/16'] },
  ])
  t.same(
    peersOf(first + other + again('PersistentKeepalive = off\nEndpoint = c:8\nAllowedIPs = 10.1.0.0/16')),
    [
      { ...before, endpoint: { host: 'c', port: 8 }, keepalive: 0, prefixes: ['10.1.0.0/16'] },
      { ...third, prefixes: [] },
    ],
  )
  t.equal(peersOf(first + again(`PresharedKey = ${ZEROS}`))[0].psk, undefined, 'zeros are no key')
  const { warnings } = parse(first + again(''))
  t.same(warnings, [
    'wg0.conf:10: a section above has the same PublicKey; what this one says replaces that, as in wg',
  ])
})

t.test('what one section says twice counts the second time', async (t) => {
  const twice = `Endpoint = b:7\nEndpoint = c:8\nPublicKey = ${THIRD}\nPresharedKey = ${OWN}\nPresharedKey = ${PSK}`
  const text = file('ListenPort = 7\nListenPort = 8', twice)
  t.match(peersOf(text), [{ key: THIRD, endpoint: { host: 'c', port: 8 }, psk: PSK }])
  t.equal(load(text).listen.port, 8)
  t.same(
    parse(text).warnings.map((it) => it.replace(/ is given.*/, '')),
    ['wg0.conf:4: ListenPort', 'wg0.conf:8: Endpoint', 'wg0.conf:9: PublicKey', 'wg0.conf:11: PresharedKey'],
  )
})

t.test('no Address, no AllowedIPs, one endpoint for two peers', async (t) => {
  const text = `${file('', 'Endpoint = b:7')}[Peer]\nPublicKey = ${THIRD}\nEndpoint = b:7\n`
  const { local, peers } = load(text)
  t.same(local, [])
  t.same(
    peers.map(({ name, prefixes, everything }) => ({ name, prefixes, everything })),
    [OTHER, THIRD].map((key) => ({ name: key.slice(0, 8), prefixes: [], everything: false })),
  )
  t.equal(load(file('')).peers[0].everything, false, 'nothing is allowed, also for an only peer')
})

t.test('keys that begin alike make names that differ', async (t) => {
  const near = `${OTHER.slice(0, 20)}${THIRD.slice(20)}`
  const { peers } = load(`${file('')}[Peer]\nPublicKey = ${near}\n`)
  t.not(peers[0].name, peers[1].name)
  t.ok(OTHER.startsWith(peers[0].name) && near.startsWith(peers[1].name))
})

t.test('a key from a flag does for a file without one', async (t) => {
  const key = join(t.testdir({}), 'a.key')
  writeFileSync(key, OWN, { mode: 0o600 })
  const text = file('').replace(/^PrivateKey.*$/m, '')
  const settings = load(text, { private_key_file: key })
  t.equal(formatKey(settings.private_key_file?.reveal() ?? Buffer.alloc(0)), OWN)
})

function written(t: Test, content: string, mode: number): string {
  const path = join(t.testdir({}), 'wg0.conf')
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

t.test('a file that others can read is read, with a warning', async (t) => {
  t.same(readWgQuick(written(t, file(''), 0o600)).warnings, [])
  const path = written(t, file(''), 0o644)
  const { warnings, values } = readWgQuick(path)
  t.equal(warnings.length, 1)
  t.match(warnings[0], /can be read or written by others .*\(mode 644\); mend that with: chmod 600 /)
  t.same(values, parse(file('')).values)
})

t.test('a file that is too long is refused, not cut', async (t) => {
  const path = written(t, `${file('')}#${' '.repeat(1024 * 1024)}\n`, 0o600)
  t.match(
    messageOf(() => readWgQuick(path)),
    /longer than any file for wg-quick/,
  )
})
