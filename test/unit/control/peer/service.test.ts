import t from 'tap'
import { parsePeerEndpoint } from '../../../../src/config/service-name.js'
import { inOrder, locateService } from '../../../../src/control/peer/service.js'
import type { ServiceRecord } from '../../../../src/control/platform.js'

const record = (host: string, priority: number, weight: number): ServiceRecord => ({
  host,
  priority,
  weight,
  port: 7,
})

t.test('the least priority is first, and a greater weight comes first more often', async (t) => {
  const all = [record('backup', 20, 0), record('a', 10, 60), record('b', 10, 30), record('c', 10, 0)]
  const first: Record<string, number> = {}
  let seed = 1
  // Park and Miller's generator, so that each run is the same.
  const random = () => {
    seed = (seed * 48_271) % 0x7fff_ffff
    return seed / 0x7fff_ffff
  }
  for (let time = 0; time < 9_100; time++) {
    const hosts = inOrder(all, random).map(({ host }) => host)
    t.equal(hosts.length, 4)
    if (hosts[3] !== 'backup') t.fail(`${hosts}`)
    first[hosts[0]] = (first[hosts[0]] ?? 0) + 1
  }
  // Of 91 marks, a has 60, b has 30, and c has the mark 0.
  for (const [host, share] of [
    ['a', 60],
    ['b', 30],
    ['c', 1],
  ] as const)
    t.ok(Math.abs(first[host] - share * 100) < share * 15 + 30, `${host} is first ${first[host]} times`)
  t.same(inOrder([], random), [])
})

t.test('hosts that are not found are passed over; if there is none, it says why', async (t) => {
  const addresses: Record<string, string[]> = { a: ['192.0.2.1', '192.0.2.2'], c: ['192.0.2.3'] }
  const locate = (...records: ServiceRecord[]) =>
    locateService(
      's',
      true,
      {
        services: async () => records,
        lookup: async (name) => {
          if (name in addresses) return addresses[name]
          throw Object.assign(new Error('none'), { code: 'ENOTFOUND' })
        },
      },
      () => 0,
    )
  t.same(await locate(record('c', 3, 0), record('b', 2, 0), record('a', 1, 0)), [
    { address: '192.0.2.1', port: 7 },
    { address: '192.0.2.2', port: 7 },
    { address: '192.0.2.3', port: 7 },
  ])
  await t.rejects(locate(record('b', 1, 0)), { code: 'ENOTFOUND' })
  await t.rejects(locate(record('', 0, 0)), { code: 'ENODATA' }, 'a target of "." says that it is not there')
})

t.test('the name of a service has no port', async (t) => {
  t.same(parsePeerEndpoint('_udptun-fast._udp.example.org').host, '_udptun-fast._udp.example.org')
  t.throws(() => parsePeerEndpoint('_x._udp.example.org:7'), /its SRV records have the ports; write _x\._udp/)
  t.same(parsePeerEndpoint('host-b:7'), { host: 'host-b', port: 7 })
})
