/** IPv6 inside: never below 1280, whatever the path. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { startFlow } from '../../support/hosts/flows.js'
import { ok, PROGRAM, RunningTunnel, run } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { filterIcmp, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

// Most of what is here is waiting.
t.jobs = 2

const local = (which: 1 | 2) => [`fd00:9::${which}`]
const DEVICE = async (host: Parameters<typeof ok>[0]) =>
  JSON.parse(await ok(host, 'ip', '-j', 'addr', 'show', 'dev', 'tap0'))[0]

for (const [name, narrow, ipv6] of [
  ['IPv4', 1200, false],
  ['IPv6', 1300, true],
] as const) {
  t.test(
    `over ${name} of ${narrow}: the MTU is 1280, its addresses stay, what needs it goes in fragments`,
    async (t) => {
      using path = pathOf(1500, narrow, 1500)
      const ends = await startEnds(path, { ipv6, local })
      for (const end of [ends.a, ends.b]) await untilPathMtu(end, narrow)
      for (const host of [path.a, path.b]) {
        const { mtu, addr_info } = await DEVICE(host)
        t.equal(mtu, 1280)
        t.equal(
          addr_info.filter(
            ({ scope, family }: Record<string, string>) => scope === 'global' && family === 'inet6',
          ).length,
          1,
        )
      }
      for (const address of ['fd00:9::2', '10.9.0.2']) {
        const flow = await startFlow(path.a, path.b, address, 1)
        const { bytes, error, longestStallMs } = await flow.ended
        t.equal(error, null)
        t.ok(bytes > 500_000, `${address}: ${bytes} bytes, longest stall ${Math.round(longestStallMs)} ms`)
      }
      // Probes that went in fragments, too, would be acknowledged.
      const flow = await startFlow(path.a, path.b, 'fd00:9::2', 3)
      for (let i = 0; i < 3; i++) {
        const { peers } = JSON.parse(await ok(path.a, process.execPath, PROGRAM, 'mtu', '--refresh'))
        t.equal(peers[0].path_mtu.bytes, narrow, 'looked for again while fragments are sent')
      }
      t.equal((await flow.ended).error, null)
      const status = await ends.a.status()
      t.ok(status.path.fragmented > 100, `${status.path.fragmented} frames were sent in fragments`)
      t.match(status.peers[0].path_mtu, { bytes: narrow, how: 'acknowledged' })
      const warnings = ends.a.log.filter(({ level, msg }) => Number(level) >= 40 && /MTU/.test(String(msg)))
      t.equal(warnings.length, 1, JSON.stringify(warnings))
      t.match(warnings[0].msg, /IPv6 needs 1280: what is longer is sent in fragments$/)
    },
  )
}

t.test(
  'over IPv6 that says nothing of what is too big: what cannot pass is dropped and counted',
  async (t) => {
    using path = pathOf(1500, 1300, 1500)
    for (const router of path.routers) await filterIcmp(router, 'both')
    const ends = await startEnds(path, { ipv6: true, local })
    await untilPathMtu(ends.a, 1300)
    await ok(path.a, 'ping', '-c', '1', '-W', '2', 'fd00:9::2')
    const ping = await ok(
      path.a,
      'ping',
      '-c',
      '2',
      '-i',
      '0.2',
      '-W',
      '0.3',
      '-s',
      '1230',
      'fd00:9::2',
    ).catch(() => '')
    t.equal(ping, '', 'a packet of 1278 does not pass')
    const status = await ends.a.status()
    t.ok(status.drops.over_path >= 2, `${status.drops.over_path} dropped`)
    t.equal(status.path.fragmented, 0)
    const warnings = ends.a.log.filter(({ level, msg }) => Number(level) >= 40 && /MTU/.test(String(msg)))
    t.match(warnings[0]?.msg, /what is longer is dropped/)
  },
)

t.test('over IPv6, fragments go on when the kernel has forgotten what the path carries', async (t) => {
  using path = pathOf(1500, 1300, 1500)
  // In seconds. By default it is ten minutes.
  path.a.run(() => writeFileSync('/proc/sys/net/ipv6/route/mtu_expires', '5'))
  const ends = await startEnds(path, { ipv6: true, local })
  for (const end of [ends.a, ends.b]) await untilPathMtu(end, 1300)
  await ok(path.a, 'ping', '-c', '1', '-W', '2', 'fd00:9::2')
  const ping = ['-c', '20', '-i', '1', '-W', '1', '-s', '1230', 'fd00:9::2']
  const { stdout } = await run(path.a, 'ping', ping)
  const answers = stdout.match(/icmp_seq=/g)?.length ?? 0
  // Each time it has forgotten, the first one reminds it, and is lost.
  t.ok(answers >= 12, `${answers} of 20 packets of 1278 are answered`)
})

t.test('--mtu safe with an IPv6 address is refused with a sentence', async (t) => {
  using path = pathOf(1500)
  const tunnel = new RunningTunnel(path.a, ['10.9.0.1', 'fd00:9::1', path.underlay.b, '--mtu', 'safe'])
  const { code, stderr } = await tunnel.ended
  t.equal(code, 2)
  t.match(stderr, /--mtu: safe is below IPv6's least MTU of 1280 bytes, and fd00:9::1 is IPv6/)
})

t.test('IPv4 alone inside goes below 1280, and nothing is fragmented', async (t) => {
  using path = pathOf(1500, 1000)
  using wire = new PacketSocket(path.a, 'eth0')
  const ends = await startEnds(path)
  await untilPathMtu(ends.a, 1000)
  const { ended } = await startFlow(path.a, path.b, '10.9.0.2', 1)
  t.equal((await ended).error, null)
  const status = await ends.a.status()
  t.equal(status.mtu_bytes, 958)
  t.equal(status.path.fragmented, 0)
  const fragments = await wire.capture(
    1,
    ({ bytes }) => bytes.readUInt16BE(12) === 0x0800 && (bytes.readUInt16BE(20) & 0x3fff) !== 0,
    200,
  )
  t.equal(fragments.length, 0)
})
