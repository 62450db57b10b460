/** `start --wireguard` makes the same addresses, peers, routes and rules of a host as real wg-quick(8). */
import { fstatSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { Host } from '../../src/lab/host.js'
import { hostState } from '../support/hosts/host-state.js'
import { ok, RunningTunnel, run, twoHosts } from '../support/hosts/lab.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'
import { type UpFile, upCorpus } from '../support/wg-up-corpus.js'

/** What both have made. The device is called `DEVICE`. */
interface Made {
  readonly addresses: readonly string[]
  readonly routes: string
  readonly rules: string
  /** `wg showconf`, without the private key, and without a port that nobody has asked for. */
  readonly peers: readonly string[]
  readonly srcValidMark: string
}

async function madeOf(host: Host, device: string, text: string): Promise<Made> {
  const { routes, rules, srcValidMark } = await hostState(host)
  const addresses: { addr_info: { local: string; prefixlen: number; scope: string }[] }[] = JSON.parse(
    await ok(host, 'ip', '-j', 'addr', 'show', 'dev', device),
  )
  const conf = await ok(host, 'wg', 'showconf', device)
  const noPort = /listenport/i.test(text) ? /$^/ : /^ListenPort/
  const sections = conf.split('\n\n').map((section) =>
    section
      .split('\n')
      .filter((line) => line !== '' && !/^PrivateKey/.test(line) && !noPort.test(line))
      .sort()
      .map((line) =>
        line.startsWith('AllowedIPs') ? line.replace(/.*= /, '').split(', ').sort().join() : line,
      )
      .join('\n'),
  )
  return {
    addresses: addresses
      .flatMap(({ addr_info }) => addr_info)
      .filter(({ local }) => !local.startsWith('fe80:'))
      .map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`),
    // Link-local addresses are random, and those of eth0 belong to one host.
    routes: routes
      .replaceAll(device, 'DEVICE')
      .split('\n')
      .filter((line) => !/fe80:|ff00:|eth0/.test(line))
      .sort()
      .join('\n'),
    rules,
    peers: sections.sort(),
    srcValidMark,
  }
}

t.test('over many files, the host is the same', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [own, one, two] = ['own', 'a', 'b'].map((name) => keys.make(name))
  const text = (file: string) => readFileSync(file, 'utf8').trim()
  const files = upCorpus({
    own: text(own.file),
    a: one.publicKey,
    b: two.publicKey,
    psk: text(keys.preshared('psk')),
  })
  const hosts = [pair.a, pair.b]
  const [quickDevice, ourDevice] = hosts.map((host, at) => `${'qu'[at]}${fstatSync(host.namespace.fd).ino}`)
  for (const host of hosts) {
    await ok(host, 'ip', 'route', 'add', 'default', 'via', '192.0.2.254')
    await ok(host, 'ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::fe')
    // The next number is taken then.
    await ok(host, 'ip', 'route', 'add', '10.200.0.0/24', 'dev', 'lo', 'table', '51820')
    await ok(host, 'ip', 'route', 'add', '10.99.0.0/24', 'dev', 'lo')
    await ok(host, 'ip', 'rule', 'add', 'pref', '1000', 'from', '10.201.0.1', 'lookup', '77')
  }
  const before = await Promise.all(hosts.map(hostState))
  const log = `${keys.path}/wg-quick.log`
  const quick = (what: 'up' | 'down') =>
    run(pair.a, 'sh', [
      '-c',
      `WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go exec wg-quick ${what} "$0" > "$1" 2>&1`,
      `${keys.path}/${quickDevice}.conf`,
      log,
    ])

  const byQuick = async ({ text }: UpFile): Promise<Made | undefined> => {
    keys.write(`${quickDevice}.conf`, text)
    const { code } = await quick('up')
    if (code !== 0) return undefined
    const made = await madeOf(pair.a, quickDevice, text)
    const down = await quick('down')
    if (down.code !== 0) throw new Error(readFileSync(log, 'utf8'))
    // wg-quick leaves this set.
    await ok(pair.a, 'sysctl', '-qw', 'net.ipv4.conf.all.src_valid_mark=0')
    return made
  }
  const byUs = async ({ text }: UpFile): Promise<Made | undefined> => {
    const path = keys.write(`${ourDevice}.conf`, text)
    const tunnel = new RunningTunnel(pair.b, ['--wireguard', path, '--dev', ourDevice])
    const isUp = await Promise.race([
      tunnel.said(/ is up: /).then(() => true),
      tunnel.ended.then(() => false),
    ])
    if (!isUp) return undefined
    const made = await madeOf(pair.b, ourDevice, text)
    await tunnel.stop()
    return made
  }
  const counts = { same: 0, refused: 0, differ: 0 }
  for (const file of files) {
    const [theirs, here] = await Promise.all([byQuick(file), byUs(file)])
    if (file.differs !== undefined) {
      t.ok(here !== undefined, `${file.what}: ${file.differs}`)
      t.notSame(here, theirs)
      counts.differ++
    } else {
      t.same(here, theirs, file.what)
      if (theirs === undefined) counts.refused++
      else counts.same++
    }
    t.same(await Promise.all(hosts.map(hostState)), before, `${file.what}: nothing is left`)
  }
  t.comment(JSON.stringify(counts))
  t.ok(counts.same >= 14)
})
