import fc from 'fast-check'
import t from 'tap'
import { parseLocalAddress } from '../../../../src/config/addresses.js'
import { isSignedBy, networkPublicKey } from '../../../../src/config/network-key.js'
import type { Told } from '../../../../src/control/discovery/told.js'
import { believe } from '../../../../src/control/mesh/belief.js'
import type { Pin } from '../../../../src/control/mesh/refusal.js'
import { judge } from '../../../../src/control/mesh/signed-belief.js'
import { RECORDS_BURST, RECORDS_PER_SECOND, Verifier } from '../../../../src/control/mesh/verifier.js'
import { formatKey } from '../../../../src/key-text.js'
import { readRecord, type SignedRecord } from '../../../../src/wire/signed-record.js'
import { type Signed, SignedNetwork } from '../../../support/signed-network.js'

const OURS = new SignedNetwork(Buffer.alloc(32, 1))
const THEIRS = new SignedNetwork(Buffer.alloc(32, 2))
const KEY = networkPublicKey(OURS.text)
const NOW_S = 1_000

const keyOf = (number: number) => Buffer.alloc(32, number)

function told(by: string, record: SignedRecord): Told {
  const { publicKey, name, networks } = record
  return { by, member: { publicKey, name, networks, endpoints: [], record } }
}

const signing = { isSigned: (record: SignedRecord) => isSignedBy(record, KEY), nowS: NOW_S }

const one = (name: string, key: number, more: Partial<Signed> = {}) => ({
  name,
  publicKey: keyOf(key),
  endsS: 2_000,
  ...more,
})

t.test('the later record of a name wins, and the later one of a key', async (t) => {
  const first = OURS.record(one('a', 1, { serial: 1 }))
  const moved = OURS.record(one('a', 2, { serial: 2 }))
  const renamed = OURS.record(one('b', 2, { serial: 3 }))
  for (const all of [
    [first, moved, renamed],
    [renamed, first, moved],
    [moved, renamed, first],
  ]) {
    const {
      told: good,
      refusals,
      seen,
    } = judge(
      all.map((it) => told('hub', it)),
      signing,
      new Map(),
    )
    t.same(
      good.map(({ member }) => member.record),
      [renamed],
    )
    t.equal(refusals.length, 2)
    t.match(seen.get('b'), { serial: 3 })
  }
  const pins = new Map<string, Pin>([['b', { key: formatKey(keyOf(2)), serial: 3 }]])
  t.same(judge([told('hub', moved)], signing, pins).told, [], 'its key had a later record, with another name')
  t.equal(judge([told('hub', first)], signing, pins).told.length, 1)
})

t.test('of two records with one serial number, the first counts', async (t) => {
  const [x, y] = [one('a', 1), one('a', 2)].map((it) => OURS.record(it))
  const { told: good, refusals } = judge([told('l', x), told('r', y), told('r', x)], signing, new Map())
  t.same(
    good.map(({ by, member }) => [by, member.record]),
    [
      ['l', x],
      ['r', x],
    ],
  )
  t.match(refusals, [
    { by: 'r', why: /both have the serial number 1; sign one of them again/, isLoud: false },
  ])
  const pins = new Map<string, Pin>([['a', { key: formatKey(keyOf(2)), serial: 1 }]])
  t.same(judge([told('l', x)], signing, pins).told, [], 'as before a restart')
  const unsigned = new Map<string, Pin>([['a', { key: formatKey(keyOf(2)), serial: undefined }]])
  t.equal(
    judge([told('l', x)], signing, unsigned).told.length,
    1,
    'a signature counts more than what was told first',
  )
})

t.test('an end, and when it is looked at again', async (t) => {
  const all = [
    one('a', 1, { endsS: 900 }),
    one('b', 2, { endsS: 1_000 }),
    one('c', 3, { endsS: 1_001 }),
    one('d', 4, { endsS: 1_500 }),
  ]
  const {
    told: good,
    refusals,
    holds,
  } = judge(
    all.map((it) => told('hub', OURS.record(it))),
    signing,
    new Map(),
  )
  t.same(
    good.map(({ member }) => member.name),
    ['c', 'd'],
  )
  t.match(
    refusals.map(({ why }) => why),
    [/ended on 1970-01-01/, /ended on/],
  )
  t.same(holds, { fromS: 1_000, untilS: 1_001 })
  const later = judge(
    [told('hub', OURS.record(one('a', 1, { serial: 2, endsS: 900 }))), told('hub', OURS.record(one('a', 1)))],
    signing,
    new Map(),
  )
  t.same(later.told, [], 'one that has ended still replaces an older one')
})

t.test('of two members that want one address, the one with the later record has it', async (t) => {
  const known = {
    settings: { peers: [], local: [parseLocalAddress('10.9.0.9/24')], mode: 'tun' as const },
    ownKey: undefined,
    pins: new Map(),
    isPossible: () => true,
    signing,
  }
  const all = [
    one('a', 1, { serial: 1, addresses: ['10.9.0.3'] }),
    one('b', 2, { serial: 2, addresses: ['10.9.0.3'] }),
  ]
  for (const order of [all, [...all].reverse()]) {
    const { members, refusals } = believe(
      order.map((it) => told('hub', OURS.record(it))),
      known,
    )
    t.match(members, [{ name: 'b', addresses: ['10.9.0.3'], record: { serial: 2 } }])
    t.match(refusals, [{ why: /a with 10\.9\.0\.3\/32, but b has/ }])
  }
})

t.test(
  'whatever introducers tell, and in any order, only good and latest records are believed',
  async (t) => {
    const way = fc.constantFrom('good', 'foreign', 'turned', 'unsigned', 'moved')
    const item = fc.record({
      by: fc.constantFrom('l', 'r'),
      name: fc.constantFrom('a', 'b', 'c'),
      key: fc.integer({ min: 1, max: 4 }),
      serial: fc.integer({ min: 1, max: 4 }),
      endsS: fc.constantFrom(999, 1_001),
      way,
      at: fc.nat(),
    })
    fc.assert(
      fc.property(fc.array(item, { maxLength: 12 }), (items) => {
        const pins = new Map<string, Pin>()
        const highest = new Map<string, number>()
        const all = items.flatMap(({ by, name, key, serial, endsS, way, at }): Told[] => {
          const content = one(name, key, { serial, endsS })
          if (way === 'foreign') return [told(by, THEIRS.record(content))]
          if (way === 'unsigned')
            return [{ by, member: { ...told(by, OURS.record(content)).member, record: undefined } }]
          const record = OURS.record(content)
          const bytes = Uint8Array.from(record.bytes)
          if (way === 'turned') bytes[at % bytes.length] ^= 1
          // A signature of something else.
          if (way === 'moved')
            bytes.set(OURS.record({ ...content, serial: serial + 1 }).bytes.subarray(-64), bytes.length - 64)
          const read = readRecord(bytes)
          return read === undefined ? [] : [told(by, read)]
        })
        // They come one after the other, as introductions do.
        for (let count = 1; count <= all.length; count++) {
          const { told: good, seen, refusals } = judge(all.slice(0, count), signing, pins)
          for (const { member } of good) {
            const { record, name, publicKey } = member
            if (record === undefined || !isSignedBy(record, KEY)) throw new Error('not signed')
            if (record.endsS <= NOW_S || record.name !== name) throw new Error('ended, or of another name')
            for (const it of [name, formatKey(publicKey)]) {
              if (record.serial < (highest.get(it) ?? 0)) throw new Error('an old one')
              highest.set(it, record.serial)
            }
          }
          t.equal(
            new Set(good.map((it) => it.member.name)).size,
            new Set(good.map((it) => formatKey(it.member.publicKey))).size,
          )
          t.equal(good.length + refusals.length, count, 'each is believed or refused')
          for (const [name, pin] of seen) pins.set(name, pin)
        }
      }),
      { numRuns: 500 },
    )
  },
)

t.test(
  'a flood of bogus records costs little, and good ones of others are looked at meanwhile',
  async (t) => {
    let nowMs = 0
    const verifier = new Verifier(() => nowMs)
    verifier.follow(OURS.text)
    const good = OURS.record(one('a', 1))
    t.equal(verifier.isSigned(good, 'right'), true)
    const bogus = Array.from({ length: 10_000 }, (_, serial) => THEIRS.record(one('x', 2, { serial })))
    const startedMs = performance.now()
    let [looked, waiting] = [0, 0]
    for (const record of bogus) {
      nowMs += 0.1
      if (verifier.isSigned(record, 'left') === undefined) waiting++
      else looked++
    }
    const ms = performance.now() - startedMs
    t.comment(`10,000 bogus records in a second: ${looked} looked at, ${Math.round(ms)} ms in all`)
    t.ok(looked <= RECORDS_BURST + RECORDS_PER_SECOND + 1, `${looked} were looked at`)
    t.equal(looked + waiting, bogus.length)
    t.equal(
      verifier.isSigned(OURS.record(one('b', 3)), 'right'),
      true,
      'the budget is that of one introducer',
    )
    t.equal(verifier.isSigned(good, 'left'), true, 'and known ones need none')
    const times = 500
    const beginMs = performance.now()
    for (let index = 0; index < times; index++) isSignedBy(good, KEY)
    t.comment(`${Math.round(((performance.now() - beginMs) * 1_000) / times)} microseconds a verification`)
    verifier.follow(THEIRS.text)
    t.equal(verifier.isSigned(good, 'right'), false, 'another network key')
    verifier.follow(undefined)
    t.equal(verifier.isSigned(bogus[0], 'right'), false)
  },
)
