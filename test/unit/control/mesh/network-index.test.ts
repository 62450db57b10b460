import fc from 'fast-check'
import t from 'tap'
import { parsePrefix } from '../../../../src/config/addresses.js'
import { NetworkIndex } from '../../../../src/control/mesh/network-index.js'
import { isPartOf, numeric, overlaps } from '../../../../src/control/mesh/networks.js'

const byte = fc.integer({ min: 0, max: 3 })
const ipv4 = fc
  .tuple(byte, byte, fc.integer({ min: 0, max: 32 }))
  .map(([a, b, length]) => `10.${a}.0.${b}/${length}`)
const ipv6 = fc.tuple(byte, fc.integer({ min: 0, max: 128 })).map(([a, length]) => `fd00::${a}/${length}`)
const network = fc.oneof(ipv4, ipv6).map((text) => numeric(parsePrefix(text)))
const owner = fc.constantFrom('a', 'b', 'c')

t.test('it finds what a look at all of them finds', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(network, owner, network, fc.option(owner, { nil: undefined })), { maxLength: 40 }),
      (steps) => {
        const index = new NetworkIndex()
        const all: { network: ReturnType<typeof numeric>; owner: string }[] = []
        return steps.every(([network, owner, asked, giver]) => {
          index.add(network, owner)
          all.push({ network, owner })
          const first = all.find(
            (it) => overlaps(asked, it.network) && !(it.owner === giver && isPartOf(asked, it.network)),
          )
          const found = index.overlapping(asked, giver)
          return found?.owner === first?.owner && found?.network === first?.network
        })
      },
    ),
    { numRuns: 2_000 },
  )
})
