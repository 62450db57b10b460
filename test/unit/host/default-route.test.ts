import t from 'tap'
import { defaultRules, markFor } from '../../../src/host/default-route.js'
import type { Netlink } from '../../../src/linux/netlink.js'

t.test('two rules right behind that for the table "local"', async (t) => {
  t.same(defaultRules('ipv4', 51_820, [0, 32_766, 32_767]), [
    { family: 'ipv4', priority: 32_765, table: 51_820, notMark: 51_820 },
    { family: 'ipv4', priority: 32_764, table: 254, suppressPrefixLength: 0 },
  ])
  const [first, second] = defaultRules('ipv6', 7, [0, 100, 32_766])
  t.match([first, second], [{ priority: 99 }, { priority: 98 }])
  for (const few of [[], [0], [0, 0], [0, 1]]) {
    const [first, second] = defaultRules('ipv6', 7, few)
    t.ok(second.priority >= 0 && first.priority > second.priority, `${few}`)
  }
})

t.test('a mark is chosen only for a default route in the table that is chosen', async (t) => {
  const used = [51_820, 51_821]
  // The kernel's answers: two tables have a route.
  const netlink = {
    request: (
      _what: string,
      _type: number,
      _flags: number,
      _fixed: Buffer,
      attributes: [number, Buffer][],
    ) => {
      const table = attributes[0][1]
      if (!used.includes(table.readUInt32LE())) return []
      const body = Buffer.from([2, 0, 0, 0, 0, 3, 253, 1, 0, 0, 0, 0, 8, 0, 15, 0, ...table])
      return [{ type: 24, body }]
    },
  } as unknown as Netlink
  const settings = (prefixLength: number, other = {}) => ({
    mode: 'tun' as const,
    table: 'auto' as const,
    peers: [{ prefixes: [{ address: '0.0.0.0', family: 'ipv4' as const, prefixLength }] }] as never,
    ...other,
  })
  t.equal(markFor(settings(0), netlink), 51_822)
  t.equal(markFor(settings(1), netlink), 0)
  t.equal(markFor(settings(0, { table: 'off' }), netlink), 0)
  t.equal(markFor(settings(0, { table: 7 }), netlink), 0)
  t.equal(markFor(settings(0, { mode: 'tap' }), netlink), 0)
  t.equal(markFor(settings(0, { netns: 'blue' }), netlink), 0)
})
