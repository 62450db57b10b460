import fc from 'fast-check'
import t from 'tap'
import { contains, formatPrefix, type Prefix, parsePrefix } from '../../../src/config/addresses.js'
import { NetworkSet } from '../../../src/host/network-set.js'
import { planDirect, planRoutes, uncovered } from '../../../src/host/route-plan.js'

const prefixes = (...texts: string[]) => texts.map(parsePrefix)
const texts = (all: readonly Prefix[]) => all.map(formatPrefix)

t.test(
  'default routes, and what has an endpoint inside, go by rules; the longest prefix is first',
  async (t) => {
    const all = prefixes('10.0.0.0/8', '0.0.0.0/0', '10.1.0.0/16', '::/0', '198.51.100.0/24', '2001:db8::/32')
    const { direct, byRule } = planRoutes(all, ['198.51.100.2', '2001:db8::9'])
    t.same(texts(direct), ['10.1.0.0/16', '10.0.0.0/8'])
    t.same(texts(byRule), ['2001:db8::/32', '198.51.100.0/24', '0.0.0.0/0', '::/0'])
    t.same(texts(planRoutes(all, []).byRule), ['0.0.0.0/0', '::/0'])
    t.same(planRoutes([], ['192.0.2.1']), { direct: [], byRule: [] })
  },
)

t.test(
  'where none of the tunnel itself goes, default routes are like all others, and the last',
  async (t) => {
    const { direct, byRule } = planDirect(prefixes('0.0.0.0/0', '10.0.0.0/8', '::/0', '10.1.0.0/16'))
    t.same(texts(direct), ['10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0', '::/0'])
    t.same(byRule, [])
  },
)

t.test('a network inside that of a route by the device needs no route', async (t) => {
  const wanted = prefixes('10.1.2.0/24', '10.1.0.0/16', '10.9.0.0/24', 'fd00::/64')
  t.same(texts(uncovered(wanted, [])), ['10.1.2.0/24', '10.1.0.0/16', '10.9.0.0/24', 'fd00::/64'])
  t.same(texts(uncovered(wanted, prefixes('10.1.0.0/16', 'fd00::/8'))), ['10.9.0.0/24'])
  t.same(texts(uncovered(wanted, prefixes('10.1.2.0/25'))), texts(wanted))
})

const ADDRESS4 = fc.ipV4()
const PREFIX = fc.oneof(
  fc.tuple(ADDRESS4, fc.integer({ min: 0, max: 32 })),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
)

t.test('which networks contain another one, as a look at each of them says', async (t) => {
  fc.assert(
    fc.property(fc.array(PREFIX, { maxLength: 40 }), PREFIX, (all, one) => {
      const networks = prefixes(...all.map(([address, length]) => `${address}/${length}`))
      const [wanted] = prefixes(one.join('/'))
      const slow = networks.filter(
        (it) => it.prefixLength <= wanted.prefixLength && contains(it, wanted.address),
      )
      const found = new NetworkSet(networks).containing(wanted)
      t.same(new Set(found.map(formatPrefix)), new Set(texts(slow)))
    }),
  )
})
