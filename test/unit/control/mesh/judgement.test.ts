import fc from 'fast-check'
import t from 'tap'
import { parseLocalAddress, parsePrefix } from '../../../../src/config/addresses.js'
import { isSignedBy, networkPublicKey } from '../../../../src/config/network-key.js'
import type { PeerSettings } from '../../../../src/config/schema.js'
import type { Told } from '../../../../src/control/discovery/told.js'
import { believe, Judgement, type Known } from '../../../../src/control/mesh/belief.js'
import type { Pin } from '../../../../src/control/mesh/refusal.js'
import { formatKey } from '../../../../src/key-text.js'
import type { SignedRecord } from '../../../../src/wire/signed-record.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const NETWORK = new SignedNetwork(Buffer.alloc(32, 1))
const FOREIGN = new SignedNetwork(Buffer.alloc(32, 2))
const KEY = networkPublicKey(NETWORK.text)
const NOW_S = 1_000
const keyOf = (number: number) => Buffer.alloc(32, number)

const HUB: PeerSettings = {
  name: 'hub',
  public_key: keyOf(1),
  endpoint: undefined,
  addresses: ['10.9.0.1'],
  prefixes: [parsePrefix('10.8.0.0/16')],
  macs: [],
  everything: false,
  preshared_key_file: undefined,
  persistent_keepalive: undefined,
}

interface Item {
  readonly by: 'hub' | 'store'
  readonly name: string
  readonly key: number
  readonly addresses: readonly string[]
  readonly serial: number
  readonly endsS: number
  readonly mac: number
  readonly isForeign: boolean
}

/** Few values, so that many of them want the same. */
const item: fc.Arbitrary<Item> = fc.record({
  by: fc.constantFrom('hub' as const, 'store' as const),
  name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  key: fc.integer({ min: 1, max: 8 }),
  addresses: fc.uniqueArray(fc.constantFrom('10.9.0.3', '10.9.0.4', '10.9.0.5', '10.9.0.6', '10.8.0.7'), {
    maxLength: 2,
  }),
  serial: fc.integer({ min: 1, max: 3 }),
  endsS: fc.constantFrom(999, 2_000, 3_000),
  mac: fc.integer({ min: 1, max: 4 }),
  isForeign: fc.boolean(),
})

function toldOf({ by, name, key, addresses, serial, endsS, mac, isForeign }: Item): Told {
  const network = isForeign && serial === 3 ? FOREIGN : NETWORK
  const record = network.record({ name, publicKey: keyOf(key), addresses, serial, endsS })
  const { publicKey, networks } = record
  return {
    by,
    member: { name, publicKey, networks, endpoints: [], record, macs: [Buffer.of(2, 0, 0, 0, 0, mac)] },
  }
}

/** What is believed, in no order. */
function textOf(members: readonly PeerSettings[]): string[] {
  return members
    .map(({ name, public_key, addresses, macs, record, introduced_by }) =>
      JSON.stringify([
        name,
        public_key && formatKey(public_key),
        addresses,
        macs,
        record?.serial,
        introduced_by,
      ]),
    )
    .sort()
}

for (const [mode, isSigned] of [
  ['tun', true],
  ['tun', false],
  ['tap', true],
  ['tap', false],
] as const)
  t.test(`what grows is what all of it gives: ${mode}, ${isSigned ? '' : 'un'}signed`, async (t) => {
    let [grown, anew] = [0, 0]
    const signing = {
      isSigned: (record: SignedRecord) => isSignedBy(record, KEY),
      nowS: NOW_S,
    }
    fc.assert(
      fc.property(fc.array(item, { maxLength: 10 }), (items) => {
        const pins = new Map<string, Pin>()
        const known: Known = {
          settings: { peers: [HUB], local: [parseLocalAddress('10.9.0.9/24')], mode },
          ownKey: formatKey(keyOf(8)),
          pins,
          signing: isSigned ? signing : undefined,
          isPossible: ({ public_key }) => public_key?.[0] !== 7,
        }
        // As they are told: by a teller and a key, in the order in which they were told first.
        const all = new Map<string, Told>()
        let judgement = new Judgement([], known)
        for (const each of items) {
          const told = toldOf(each)
          const before = new Map(pins)
          all.set(`${each.by} ${each.key}`, told)
          const grows = judgement.grows(told, known.signing)
          if (grows) grown++
          else {
            anew++
            judgement = new Judgement([...all.values()], known)
          }
          const { members, judged } = judgement.belief
          for (const [name, pin] of judged?.seen ?? []) pins.set(name, pin)
          const { members: expected, judged: other } = believe([...all.values()], { ...known, pins: before })
          t.same(
            textOf(members),
            textOf(expected),
            `it ${grows ? 'grows' : 'is judged anew'}: ${JSON.stringify(items)}`,
          )
          t.equal(judged?.holds.untilS, other?.holds.untilS)
        }
      }),
      { numRuns: 150 },
    )
    t.comment(`${grown} have grown, and ${anew} times all were judged anew`)
    t.ok(grown > anew / 4)
  })
