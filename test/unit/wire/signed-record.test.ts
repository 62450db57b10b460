import fc from 'fast-check'
import t from 'tap'
import { isSignedBy, signRecord } from '../../../src/config/network-key.js'
import {
  MAX_MEMBER_BYTES,
  readIntroduction,
  writeIntroduction,
  writeMember,
} from '../../../src/wire/introduction.js'
import {
  MAX_END_S,
  MAX_RECORD_BYTES,
  MAX_SERIAL,
  type RecordContent,
  readRecord,
  recordBody,
  SIGNATURE_BYTES,
} from '../../../src/wire/signed-record.js'
import { SignedNetwork } from '../../support/signed-network.js'

const OURS = new SignedNetwork(Buffer.alloc(32, 1))
const THEIRS = new SignedNetwork(Buffer.alloc(32, 2))

const name = fc.stringMatching(/^[!-~]{1,20}$/)
const network = fc
  .tuple(fc.constantFrom(4, 16), fc.nat(128), fc.uint8Array({ minLength: 16, maxLength: 16 }))
  .map(([length, bits, bytes]) => {
    const prefixLength = Math.min(bits, length * 8)
    const mask = (at: number) => ~(0xff >> Math.min(8, Math.max(0, prefixLength - 8 * at)))
    return { address: bytes.slice(0, length).map((byte, at) => byte & mask(at)), prefixLength }
  })
const content: fc.Arbitrary<RecordContent> = fc.record({
  publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  signingKey: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }), { nil: undefined }),
  serial: fc.integer({ min: 0, max: MAX_SERIAL }),
  endsS: fc.integer({ min: 0, max: MAX_END_S }),
  name,
  networks: fc.array(network, { maxLength: 5 }),
  groups: fc.array(name, { maxLength: 3 }),
  allow: fc.array(fc.stringMatching(/^[ -~]{1,30}$/), { maxLength: 2 }),
})

t.test('the same content has one form, whatever the order, and it is read again', async (t) => {
  fc.assert(
    fc.property(content, (it) => {
      const record = signRecord(it, OURS.key)
      const { bytes, ...read } = record
      const other = {
        ...it,
        networks: [...it.networks].reverse(),
        groups: [...it.groups, ...it.groups].reverse(),
        allow: [...it.allow, ...it.allow].reverse(),
      }
      t.same(recordBody(other), recordBody(it))
      t.same(recordBody(read), recordBody(it))
      t.match(read, { publicKey: it.publicKey, serial: it.serial, endsS: it.endsS, name: it.name })
      t.same(read.signingKey, it.signingKey)
      t.equal(bytes[0], it.signingKey === undefined ? 1 : 2, 'the version without it is as it was')
      t.same(new Set(read.groups), new Set(it.groups))
      t.same(new Set(read.allow), new Set(it.allow))
      t.same(signRecord(it, OURS.key).bytes, bytes, 'also with its signature (RFC 8032 has no chance in it)')
    }),
  )
})

t.test('cut, lengthened, with a bit turned, or of another network: never signed', async (t) => {
  fc.assert(
    fc.property(content, fc.nat(), fc.nat(7), (it, at, bit) => {
      const { bytes } = signRecord(it, OURS.key)
      const record = readRecord(bytes)
      t.ok(record !== undefined && isSignedBy(record, OURS.key))
      t.notOk(record !== undefined && isSignedBy(record, THEIRS.key))
      t.equal(readRecord(bytes.subarray(0, at % bytes.length)), undefined)
      t.equal(readRecord(Buffer.concat([bytes, Buffer.of(0)])), undefined)
      const turned = Uint8Array.from(bytes)
      turned[at % bytes.length] ^= 1 << bit
      const read = readRecord(turned)
      t.notOk(read !== undefined && isSignedBy(read, OURS.key))
    }),
    { numRuns: 300 },
  )
})

t.test('each single bit of one record', async (t) => {
  const { bytes } = OURS.record({
    name: 'b',
    publicKey: Buffer.alloc(32, 7),
    signingKey: Buffer.alloc(32, 8),
    addresses: ['10.9.0.2'],
    groups: ['staff'],
  })
  let read = 0
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const turned = Uint8Array.from(bytes)
    turned[bit >> 3] ^= 1 << (bit & 7)
    const record = readRecord(turned)
    if (record === undefined) continue
    read++
    if (isSignedBy(record, OURS.key)) t.fail(`bit ${bit}`)
  }
  t.ok(read > bytes.length, `${read} of them have the right form`)
})

t.test('any bytes are read without an error', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => void readRecord(bytes)),
    { numRuns: 2_000 },
  )
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 100, maxLength: 300 }),
      fc.constantFrom(1, 2),
      (rest, version) => void readRecord(Buffer.concat([Buffer.of(version), rest])),
    ),
    { numRuns: 2_000 },
  )
})

t.test('another order, or the same twice, is another form, and malformed', async (t) => {
  const body = (groups: readonly string[]) =>
    recordBody({ ...OURS.record({ name: 'b', publicKey: Buffer.alloc(32, 7) }), groups })
  const signature = Buffer.alloc(SIGNATURE_BYTES)
  const right = Buffer.from(body(['a', 'b']))
  t.ok(readRecord(Buffer.concat([right, signature])))
  // The two groups, and then the number of rules.
  const end = right.length - 1
  const at = end - 4
  const swapped = Buffer.concat([
    right.subarray(0, at),
    right.subarray(at + 2, end),
    right.subarray(at, at + 2),
    right.subarray(end),
  ])
  t.equal(readRecord(Buffer.concat([swapped, signature])), undefined)
  const doubled = Buffer.concat([
    right.subarray(0, at),
    right.subarray(at, at + 2),
    right.subarray(at, at + 2),
    right.subarray(end),
  ])
  t.equal(readRecord(Buffer.concat([doubled, signature])), undefined)
})

t.test(
  'the longest record fits into an introduction with three endpoints of IPv6; a longer one is refused',
  async (t) => {
    const addresses = (count: number) => Array.from({ length: count }, (_, index) => `fd00:9::${index + 1}`)
    const make = (count: number, groups: readonly string[] = []) =>
      OURS.record({ name: 'b', publicKey: Buffer.alloc(32, 7), addresses: addresses(count), groups })
    const long = make(12, ['group-of-23-characters-', 'a'])
    t.equal(long.bytes.length, MAX_RECORD_BYTES)
    const endpoint = { address: new Uint8Array(16).fill(9), port: 5149, kinds: 1 }
    const { publicKey, name, networks } = long
    const member = {
      publicKey,
      name,
      networks,
      record: long,
      endpoints: Array.from({ length: 3 }, () => endpoint),
      macs: [],
    }
    t.ok(writeMember(member).length <= MAX_MEMBER_BYTES, `${writeMember(member).length} bytes`)
    const introduction = { kind: 'member' as const, member, epoch: 1, after: 2, revision: 3, latest: 4 }
    t.same(readIntroduction(writeIntroduction(introduction)), introduction)
    t.throws(() => make(13, ['group-of-23-characters-']), /at most 360 fit into one datagram/)
  },
)
