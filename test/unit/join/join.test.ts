/** What a join does with files that are there already. The introducer is not asked: its answer is given. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { explain } from '../../../src/cli/join.js'
import { loadSettings } from '../../../src/config/load.js'
import { readConfigFile } from '../../../src/config/yaml-file.js'
import { UserError } from '../../../src/errors.js'
import type { Membership } from '../../../src/invitation/answer.js'
import type { Invitation } from '../../../src/invitation/invitation.js'
import { type JoinOptions, joinNetwork } from '../../../src/join/join.js'
import { formatKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'

const publicKey = derivePublicKey(clampPrivateKey(randomBytes(32)))
const ENDPOINT = { host: '198.51.100.1', port: 5149 }
const NETWORK = { address: '10.9.0.0', prefixLength: 24 }

const invitation: Invitation = {
  mode: 'tun',
  network: 'office',
  name: 'alice',
  introducer: 'hub',
  publicKey,
  privateKey: clampPrivateKey(randomBytes(32)),
  presharedKey: randomBytes(32),
  untilS: 1_900_000_000,
  endpoints: [ENDPOINT],
  addresses: [],
}

const membership = (address = '10.9.0.2'): Membership => ({
  presharedKey: randomBytes(32),
  addresses: [{ address, prefixLength: 24 }],
  introducer: [{ address: '10.9.0.1', prefixLength: 24 }],
  networks: [NETWORK],
})

/** A folder, and joins into it. */
class Desk {
  readonly directory: string
  /** How often the introducer was told something. */
  told = 0

  constructor(t: Test) {
    this.directory = t.testdir()
  }

  file(name: string): string {
    return join(this.directory, name)
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8')
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text, { mode: 0o600 })
  }

  join(member = membership(), options: Partial<JoinOptions> = {}) {
    const tell: JoinOptions['tell'] = async () => {
      this.told++
      return { answer: { verdict: 'member', membership: member }, endpoint: ENDPOINT }
    }
    return joinNetwork({ invitation, directory: this.directory, network: undefined, tell, ...options })
  }

  /** A settings file of a person. */
  kept(...peer: string[]): string {
    const text = [
      'mode: tun',
      'local: [10.9.0.2/24]',
      `private_key_file: ${this.file('office.key')}`,
      'peers:',
      '  - name: hub',
      '    endpoint: 198.51.100.1:5149',
      `    public_key: ${formatKey(publicKey)}`,
      '    addresses: [10.9.0.1]',
      '    prefixes: [10.9.0.0/24]',
      '    introducer: true',
      ...peer.map((it) => `    ${it}`),
      '',
    ].join('\n')
    this.write('office.yaml', text)
    return text
  }

  key(name = 'office.key'): void {
    this.write(name, `${formatKey(clampPrivateKey(randomBytes(32)))}\n`)
  }

  /** The setting as `start` understands it. */
  loaded() {
    return loadSettings({}, readConfigFile(this.file('office.yaml')))
  }

  async refused(t: Test, message: RegExp, options: Partial<JoinOptions> = {}): Promise<void> {
    const before = readdirSync(this.directory)
    const told = this.told
    const refused = this.join(membership(), options)
    await t.rejects(refused, { message, exitCode: 1 })
    await t.rejects(refused, UserError)
    t.equal(this.told, told, 'the introducer is not told')
    t.same(readdirSync(this.directory), before, 'nothing was written')
  }
}

t.test('what a person has added stays when the host joins again, and the former file, too', async (t) => {
  const desk = new Desk(t)
  const first = await desk.join()
  t.match(first, { wasThere: false, isKept: false, settings: [], former: undefined })
  const networkKey = formatKey(randomBytes(32))
  const added = [
    'listen: 7000 # the router lets this one in',
    `network_key: "${networkKey}"`,
    'mtu: 1300',
    'metrics: 9100',
    'allow:',
    '  - {from: hub, protocol: icmp}',
    '',
  ].join('\n')
  const edited = `${desk
    .read('office.yaml')
    .replace('prefixes: ["10.9.0.0/24"]', 'prefixes: ["10.9.0.0/24", "10.77.0.0/16"] # the lab')
    .replace('    introducer: true\n', '    persistent_keepalive: 25\n    introducer: true\n')
    .replace('dev: "office"', 'dev: vpn7')}${added}`
  desk.write('office.yaml', edited)
  const own = desk.read('office.key')

  const member = membership('10.9.0.77')
  const joined = await desk.join(member)
  t.match(joined, {
    wasThere: true,
    isKept: false,
    settings: ['local'],
    former: desk.file('office.yaml.old'),
  })
  t.equal(desk.read('office.yaml.old'), edited)
  t.equal(desk.read('office.yaml'), edited.replace('10.9.0.2/24', '10.9.0.77/24'))
  t.equal(desk.read('office.psk'), `${formatKey(member.presharedKey)}\n`)
  t.equal(desk.read('office.key'), own)
  const { listen, dev, mtu, allow, local, peers } = desk.loaded()
  t.match({ listen, dev, mtu }, { listen: { port: 7000 }, dev: 'vpn7', mtu: 1300 })
  t.equal(allow?.length, 1)
  t.match(local, [{ address: '10.9.0.77' }])
  t.match(peers, [{ persistent_keepalive: 25, introducer: true }])
  t.equal(desk.read('office.yaml').includes(networkKey), true)
  const said = explain(joined, desk.directory, false).join('\n')
  t.match(said, /New in there: local; the rest stays\.\n/)
  t.match(said, `The file that was there is now ${desk.file('office.yaml.old')}.`)
  t.match(said, /If it runs already, give it its new key with: udptun-fast reload/)

  const again = await desk.join(member)
  t.match(again, { settings: [], former: undefined }, 'nothing is new')
  t.same(readdirSync(desk.directory), ['office.key', 'office.psk', 'office.yaml', 'office.yaml.old'])
  t.notMatch(explain(again, desk.directory, true).join('\n'), /\.old|Start it|If it runs/)

  const changed = await desk.join(membership('10.9.0.78'))
  t.equal(changed.former, desk.file('office.yaml.old2'), 'an earlier one is not written over')
  t.equal(desk.read('office.yaml.old'), edited)
})

t.test(
  'the endpoint that has answered is written, and not a name that comes first in the line',
  async (t) => {
    const desk = new Desk(t)
    const endpoints = [{ host: 'hub.example.net', port: 5149 }, ENDPOINT]
    await desk.join(membership(), { invitation: { ...invitation, endpoints } })
    t.match(readConfigFile(desk.file('office.yaml')).values.peers, [{ endpoint: '198.51.100.1:5149' }])
  },
)

t.test('what the introducer says comes before what a person has made of it', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  const written = desk.read('office.yaml')
  desk.write(
    'office.yaml',
    written
      .replace('mode: tun', 'mode: tap # why not')
      .replace('endpoint: "198.51.100.1:5149"', 'endpoint: nowhere.example')
      .replace('addresses: ["10.9.0.1"]', 'addresses: ["10.9.0.9"]')
      .replace(/ *prefixes.*\n/, '')
      .replace('introducer: true', 'introducer: false'),
  )
  const { settings } = await desk.join()
  t.same(settings, ['mode', 'endpoint', 'addresses', 'prefixes', 'introducer'])
  t.match(desk.read('office.yaml'), 'mode: tun # why not\n')
  const peer = readConfigFile(desk.file('office.yaml')).values.peers
  t.match(peer, [
    { endpoint: '198.51.100.1:5149', addresses: ['10.9.0.1'], prefixes: ['10.9.0.0/24'], introducer: true },
  ])
  t.equal(desk.loaded().peers.length, 1)
})

t.test('what a tunnel needs is added if a person has taken it away', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  const written = desk.read('office.yaml')
  desk.write('office.yaml', written.replace(/.*(private_key_file|preshared_key_file).*\n/g, ''))
  const member = membership()
  const { settings } = await desk.join(member, {}).catch((error: Error) => ({ settings: error.message }))
  t.match(settings, /office\.psk is there, and is of another network/, 'nothing says whose key that is')
  desk.write('office.psk', `${formatKey(member.presharedKey)}\n`)
  t.same((await desk.join(member)).settings, ['private_key_file', 'preshared_key_file'])
  t.same(readConfigFile(desk.file('office.yaml')).values.private_key_file, desk.file('office.key'))
  t.equal(desk.loaded().peers.length, 1)
})

t.test('a prefix that a person has added stays when the network has another one', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  desk.write('office.yaml', desk.read('office.yaml').replace('"10.9.0.0/24"', '"10.9.0.0/24", "0.0.0.0/0"'))
  const member = { ...membership(), networks: [NETWORK, { address: '10.8.0.0', prefixLength: 16 }] }
  t.same((await desk.join(member)).settings, ['prefixes'])
  t.match(desk.read('office.yaml'), /prefixes: \[.*10\.9\.0\.0\/24.*0\.0\.0\.0\/0.*10\.8\.0\.0\/16.*\]\n/)
})

t.test('a network that is one of mode tap now has no prefixes', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  const { settings } = await desk.join(membership(), { invitation: { ...invitation, mode: 'tap' } })
  t.same(settings, ['mode', 'prefixes'])
  t.equal(desk.loaded().mode, 'tap')
})

t.test('a file of a person may have aliases, because nothing is written there', async (t) => {
  const desk = new Desk(t)
  desk.key()
  const text = desk
    .kept(`preshared_key_file: ${desk.file('hub.psk')}`)
    .replace('peers:', 'x-hub: &own [10.9.0.9]\npeers:')
    .replace('local: [10.9.0.2/24]', 'local: 10.9.0.2/24')
    .replace('addresses: [10.9.0.1]', 'addresses: *own')
  desk.write('office.yaml', text)
  t.match(await desk.join(), { isKept: true, settings: ['addresses'] })
  t.equal(desk.read('office.yaml'), text)
})

t.test('a file that changes while the host joins is not written over', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  const tell: JoinOptions['tell'] = async () => {
    desk.write('office.yaml', `${desk.read('office.yaml')}mtu: 1300\n`)
    return { answer: { verdict: 'member', membership: membership('10.9.0.3') }, endpoint: ENDPOINT }
  }
  await t.rejects(desk.join(membership(), { tell }), { message: /was changed while this host joined/ })
  t.match(desk.read('office.yaml'), /mtu: 1300/)
  t.same((await desk.join(membership('10.9.0.3'))).settings, ['local'])
  t.match(desk.read('office.yaml'), /mtu: 1300/)
})

t.test('join does not write where an alias could lose its meaning', async (t) => {
  const desk = new Desk(t)
  await desk.join()
  desk.write('office.yaml', desk.read('office.yaml').replace('local: [', 'local: &own [').concat('x: *own\n'))
  await desk.refused(t, /office\.yaml has an alias \(\*name\), so join cannot write in it; /)
})

t.test('a file of a person stays, and the new preshared key goes where it looks for it', async (t) => {
  const desk = new Desk(t)
  desk.key()
  const text = desk.kept(`preshared_key_file: ${desk.file('hub.psk')}`)
  desk.write('hub.psk', `${formatKey(randomBytes(32))}\n`)
  const member = membership()
  const joined = await desk.join(member)
  t.match(joined, { isKept: true, settings: [], former: undefined })
  t.equal(desk.read('office.yaml'), text)
  t.equal(desk.read('hub.psk'), `${formatKey(member.presharedKey)}\n`)
  t.same(readdirSync(desk.directory), ['hub.psk', 'office.key', 'office.yaml'])
  const said = explain(joined, desk.directory, false).join('\n')
  t.match(said, /office\.yaml was there before .* so it is as it was\. Only its preshared key is new\.\n/)
  t.notMatch(said, /says something else/)

  const moved = await desk.join(membership('10.9.0.5'))
  t.same(moved.settings, ['local'])
  t.equal(desk.read('office.yaml'), text)
  t.match(explain(moved, desk.directory, false), [/./, /./, /something else about: local\. Mend/, /./, /./])
})

t.test('a file of a person in which something is missing is refused before anybody is told', async (t) => {
  const desk = new Desk(t)
  const secret = formatKey(randomBytes(32))
  desk.key()
  desk.kept()
  await desk.refused(t, /office\.yaml names no preshared_key_file for hub; add one to that peer, such as: /)
  desk.kept(`preshared_key_file: ${secret}`)
  await desk.refused(t, /names no preshared_key_file for hub/)
  desk.kept(`preshared_key_file: ${desk.file('office.key')}`)
  await desk.refused(t, /office\.key in .* is not only for hub/)
  mkdirSync(desk.file('folder'))
  desk.kept(`preshared_key_file: ${desk.file('folder')}`)
  await desk.refused(t, /folder is a directory; move it/)

  const named = `preshared_key_file: ${desk.file('hub.psk')}`
  const text = desk.kept(named)
  desk.write('office.yaml', text.replace(/private_key_file: .*office.key\n/, ''))
  await desk.refused(
    t,
    /office\.yaml names no private_key_file; add the line: private_key_file: .*office\.key/,
  )
  desk.write('office.yaml', text.replace(desk.file('office.key'), desk.file('nowhere.key')))
  await desk.refused(t, /the private_key_file in .*office\.yaml is not there; mend its path/)
})

t.test('a name without a folder counts from where the program is called, as for start', async (t) => {
  const desk = new Desk(t)
  desk.key()
  mkdirSync(desk.file('elsewhere'))
  const text = desk.kept('preshared_key_file: hub.psk')
  desk.write('office.yaml', text.replace(desk.file('office.key'), 'office.key'))
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  process.chdir(desk.file('elsewhere'))
  await desk.refused(t, /the private_key_file in .*office\.yaml is not there; .* where the program is called/)
  t.same(readdirSync('.'), [], 'no key is made')
  process.chdir(desk.directory)
  const member = membership()
  t.match(await desk.join(member), { isKept: true })
  t.equal(desk.read('hub.psk'), `${formatKey(member.presharedKey)}\n`)
  t.equal(desk.loaded().peers.length, 1)
})

t.test('something else at the place of a file is refused in one sentence', async (t) => {
  const desk = new Desk(t)
  mkdirSync(desk.file('office.yaml'))
  await desk.refused(t, /office\.yaml is a directory; move it, or give .* another name here with --network/)
  mkdirSync(desk.file('work.psk'))
  await desk.refused(t, /work\.psk is a directory; move it/, { network: 'work' })
})
