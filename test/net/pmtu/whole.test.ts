/** No outer datagram is fragmented, whatever goes through the tunnel: shown by a capture on the underlay. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MSG_DONTWAIT } from '../../../src/linux/constants.js'
import { close, sendto } from '../../../src/linux/libc.js'
import { encodeSockaddr, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { openUdp } from '../../../src/linux/udp.js'
import { startFlow } from '../../support/hosts/flows.js'
import { ok } from '../../support/hosts/lab.js'
import { Noise } from '../../support/hosts/noise.js'
import { type Path, pathOf, startEnds, untilPathMtu } from '../../support/hosts/path.js'

const LONGEST = 1386 - 42 - 28

/** Datagrams of random sizes, up to what the device takes. */
async function sendRandom({ a }: Path, address: string, count: number): Promise<void> {
  const noise = new Noise(count)
  const buffers = { receiveBufferBytes: 1 << 20, sendBufferBytes: 4 << 20 }
  const { fd, family } = a.run(() => openUdp({ listen: { address: undefined, port: 9_000 }, ...buffers }))
  const name = encodeSockaddr(family, { address, port: 9 })
  const payload = new Uint8Array(LONGEST)
  for (let i = 0; i < count; i++) {
    sendto(fd, payload, noise.integer(1, LONGEST), MSG_DONTWAIT, name, sockaddrLength(family))
    if (i % 50 === 0) await sleep(1)
  }
  close(fd)
}

for (const ipv6 of [false, true]) {
  t.test(
    `over ${ipv6 ? 'IPv6' : 'IPv4'}, TCP and datagrams of random sizes: none in fragments`,
    async (t) => {
      using path = pathOf(1500, 1386, 1500)
      for (const host of [path.a, path.b, ...path.routers]) {
        for (const device of host === path.a || host === path.b ? ['eth0'] : ['left', 'right'])
          await ok(host, 'ethtool', '-K', device, 'tx', 'off', 'gso', 'off', 'tso', 'off', 'gro', 'off')
      }
      const local = (which: 1 | 2) => [`fd00:9::${which}`]
      const folder = mkdtempSync(join(tmpdir(), 'udptun-fast-'))
      t.teardown(() => rmSync(folder, { recursive: true }))
      const capture = join(folder, 'underlay.pcap')
      const filter = ipv6 ? 'ip6 and (udp or ip6[6] == 44)' : 'udp or (ip[6:2] & 0x3fff != 0)'
      const [, router] = path.routers
      const dump = router.spawn('tcpdump', ['-i', 'left', '-w', capture, '-s', '96', '-B', '65536', filter], {
        stdio: 'ignore',
      })
      await sleep(700)
      const ends = await startEnds(path, { ipv6, local })
      await untilPathMtu(ends.a, 1386)
      await untilPathMtu(ends.b, 1386)
      const flows = await Promise.all([
        startFlow(path.a, path.b, '10.9.0.2', 1, 7501),
        startFlow(path.b, path.a, 'fd00:9::1', 1, 7502),
      ])
      await sendRandom(path, '10.9.0.2', 5_000)
      await sendRandom(path, 'fd00:9::2', 5_000)
      for (const { ended } of flows) t.equal((await ended).error, null)
      dump.kill('SIGINT')
      await new Promise((resolve) => dump.once('exit', resolve))

      const count = async (filter: string) =>
        Number.parseInt(await ok(path.a, 'tcpdump', '--count', '-r', capture, filter), 10)
      const all = await count('udp port 5149')
      t.ok(all > 10_000, `${all} datagrams were captured`)
      const fragments = ipv6 ? 'ip6[6] == 44' : 'ip[6:2] & 0x3fff != 0 or ip[6] & 0x40 == 0'
      t.equal(await count(fragments), 0, 'none is a fragment, nor may any be made one')
      const full = ipv6 ? 'udp port 5149 and ip6[4:2] == 1346' : 'udp port 5149 and ip[2:2] == 1386'
      t.ok((await count(full)) > 1_000, 'many are as long as the path takes')
      t.equal(await count(ipv6 ? 'ip6[4:2] > 1346' : 'ip[2:2] > 1386'), 0, 'none is longer')
      const { path: counts, drops } = await ends.a.status()
      t.equal(counts.fragmented, 0)
      t.equal(drops.over_path, 0)
    },
  )
}
