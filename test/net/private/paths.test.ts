/** What a path carries of what is sealed: found out, kept to, and where it must be, in fragments. */
import t from 'tap'
import { run, startTunnel, untilPing } from '../../support/hosts/lab.js'
import { type Path, pathOf, untilPathMtu } from '../../support/hosts/path.js'
import { transfer } from '../../support/hosts/transfer.js'
import { KeyFolder, keyFlags, WireGuardGo } from '../../support/hosts/wireguard-go.js'

const MiB = 1024 * 1024

/** What status is asked of, in either mode. */
const DEVICE = 'tap0'

/** IPv4 and UDP; the header and the tag of a message; an Ethernet header; the least padding in mode tap. */
const OVER_TAP_BYTES = 28 + 32 + 14 + 1
const OVER_TUN_BYTES = 28 + 32

/** Starts both ends of a path with keys, and more arguments of `start` for each. */
async function startPrivate(path: Path, keys: KeyFolder, args: (which: 1 | 2) => readonly string[]) {
  const [a, b] = [keys.make('a'), keys.make('b')]
  const [near, far] = await Promise.all([
    startTunnel(path.a, '10.9.0.1', ...args(1), path.underlay.b, ...keyFlags(a, b)),
    startTunnel(path.b, '10.9.0.2', ...args(2), path.underlay.a, ...keyFlags(b, a)),
  ])
  return { near, far }
}

for (const [mode, overBytes] of [
  ['tap', OVER_TAP_BYTES],
  ['tun', OVER_TUN_BYTES],
] as const) {
  t.test(`mode ${mode}: probes are sealed like all else, and find the path's MTU`, async (t) => {
    using keys = new KeyFolder()
    using path = pathOf(1500, 1400, 1500)
    const { near, far } = await startPrivate(path, keys, () => ['--mode', mode, '--dev', DEVICE])
    for (const end of [near, far]) await untilPathMtu(end, 1400)
    const mtuBytes = 1400 - overBytes
    await untilPing(path.a, '10.9.0.2')
    for (const end of [near, far]) t.equal((await end.status()).mtu_bytes, mtuBytes)
    const whole = ['-M', 'do', '-c', '1', '-W', '2', '-s', `${mtuBytes - 28}`]
    t.equal((await run(path.a, 'ping', [...whole, '10.9.0.2'])).code, 0, 'a packet that long passes')
    const ends = { listener: path.b, connector: path.a, address: '10.9.0.2', bytes: 4 * MiB }
    const { listener, connector } = await transfer(ends)
    t.same(listener.received, connector.sent)
    t.same(connector.received, listener.sent)
    const { drops, path: said } = await near.status()
    t.equal(drops.over_path + drops.too_big + said.fragmented, 0)
    await Promise.all([near.stop(), far.stop()])
  })
}

t.test('IPv6 inside holds the device at 1280: what is sealed goes in fragments', async (t) => {
  using keys = new KeyFolder()
  using path = pathOf(1500, 1300, 1500)
  const { near, far } = await startPrivate(path, keys, (which) => [`fd00:9::${which}`])
  for (const end of [near, far]) await untilPathMtu(end, 1300)
  await untilPing(path.a, 'fd00:9::2')
  t.equal((await near.status()).mtu_bytes, 1280)
  const whole = ['-M', 'do', '-c', '3', '-i', '0.1', '-W', '2', '-s', `${1280 - 48}`]
  t.equal((await run(path.a, 'ping', [...whole, 'fd00:9::2'])).code, 0, 'a packet of 1280 passes')
  t.ok((await near.status()).path.fragmented >= 3)
  t.equal((await far.status()).drops.not_authentic, 0)
  await Promise.all([near.stop(), far.stop()])
})

t.test('towards a WireGuard peer, which acknowledges nothing, ICMP finds it', async (t) => {
  using keys = new KeyFolder()
  using path = pathOf(1500, 1400, 1500)
  const [own, theirs] = [keys.make('a'), keys.make('b')]
  const settings = ['listen-port', '51820', 'private-key', theirs.file, 'peer', own.publicKey]
  await using _ = await WireGuardGo.start(path.b, '10.9.0.2/24', ...settings, 'allowed-ips', '10.9.0.1/32')
  const privately = ['--mode', 'tun', '--dev', DEVICE, ...keyFlags(own, theirs)]
  const near = await startTunnel(path.a, '10.9.0.1', `${path.underlay.b}:51820`, ...privately)
  await untilPing(path.a, '10.9.0.2')
  await untilPathMtu(near, 1400, ['reached', 'told'])
  const mtuBytes = 1400 - OVER_TUN_BYTES
  t.equal((await near.status()).mtu_bytes, mtuBytes)
  // The first answer is longer by its padding, and lost: that end has yet to learn of its path.
  const whole = ['-M', 'do', '-c', '4', '-i', '0.2', '-W', '2', '-s', `${mtuBytes - 28}`]
  t.equal((await run(path.a, 'ping', [...whole, '10.9.0.2'])).code, 0, 'a packet that long passes')
  await near.stop()
})
