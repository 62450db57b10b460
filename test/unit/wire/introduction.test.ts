import fc from 'fast-check'
import t from 'tap'
import { readControl, writeControl } from '../../../src/wire/control.js'
import {
  type Introduction,
  MAX_MEMBER_BYTES,
  readAsk,
  readClaims,
  readIntroduction,
  readMember,
  type ToldMember,
  writeAsk,
  writeIntroduction,
  writeMember,
} from '../../../src/wire/introduction.js'

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)

const network = fc.tuple(address, fc.nat(128)).map(([bytes, length]) => {
  const prefixLength = Math.min(length, bytes.length * 8)
  const masked = bytes.map((byte, at) => byte & ~(0xff >> Math.min(8, Math.max(0, prefixLength - 8 * at))))
  return { address: masked, prefixLength }
})

const endpoint = fc.record({ address, port: fc.integer({ min: 1, max: 65_535 }), kinds: fc.nat(255) })
const macs = fc.array(fc.uint8Array({ minLength: 6, maxLength: 6 }), { maxLength: 2 })
const claims = fc.record({ endpoints: fc.array(endpoint, { maxLength: 4 }), macs })

const member: fc.Arbitrary<ToldMember> = fc.record({
  publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  name: fc.stringMatching(/^[!-~]{1,63}$/),
  networks: fc.array(network, { maxLength: 12 }),
  endpoints: fc.array(endpoint, { maxLength: 6 }),
  macs,
})

const u32 = fc.nat(0xffff_ffff)
const position = fc.record({ epoch: u32, revision: u32 })

const introduction: fc.Arbitrary<Introduction> = fc
  .tuple(
    fc.oneof(
      fc.constant({ kind: 'nothing' as const }),
      member.map((it) => ({ kind: 'member' as const, member: it })),
      fc
        .uint8Array({ minLength: 32, maxLength: 32 })
        .map((publicKey) => ({ kind: 'gone' as const, publicKey })),
    ),
    position,
    u32,
    u32,
  )
  .map(([change, at, after, latest]) => ({ ...change, ...at, after, latest }))

t.test('what is written is read again, also with more bytes behind it', async () => {
  fc.assert(fc.property(position, (it) => t.same(readAsk(Buffer.concat([writeAsk(it), Buffer.of(7)])), it)))
  fc.assert(
    fc.property(position, claims, (it, own) => {
      const bytes = Buffer.concat([writeAsk(it, own), Buffer.of(7)])
      t.same(readAsk(bytes), it)
      t.same(readClaims(bytes), own)
    }),
  )
  fc.assert(
    fc.property(introduction, (it) =>
      t.same(readIntroduction(Buffer.concat([writeIntroduction(it), Buffer.of(7, 7)])), it),
    ),
  )
})

t.test('the same member always gives the same bytes, whatever they were read from', async () => {
  fc.assert(
    fc.property(member, (it) => {
      const bytes = writeMember(it)
      t.same(writeMember(readMember(bytes) as ToldMember), bytes)
    }),
  )
})

t.test('any bytes are read without an error, and a cut one is malformed', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      readAsk(bytes)
      readClaims(bytes)
      readMember(bytes)
      readIntroduction(bytes)
    }),
    { numRuns: 2_000 },
  )
  fc.assert(
    fc.property(member, fc.double({ min: 0, max: 1, noNaN: true }), (it, part) => {
      const bytes = writeMember(it)
      t.equal(readMember(bytes.subarray(0, Math.floor(part * (bytes.length - 1)))), undefined)
    }),
  )
  // Beginnings that look right.
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(3), (rest, kind) => {
      readIntroduction(Buffer.concat([Buffer.of(1, kind), rest]))
    }),
    { numRuns: 2_000 },
  )
})

t.test('what makes no sense is malformed', async (t) => {
  const good: ToldMember = { publicKey: new Uint8Array(32), name: 'b', networks: [], endpoints: [] }
  const at = { address: Uint8Array.of(10, 9, 0, 2), port: 5149 }
  const bad: ToldMember[] = [
    { ...good, name: '' },
    { ...good, name: 'a b' },
    { ...good, name: 'a\n' },
    { ...good, networks: [{ address: Uint8Array.of(10, 9, 0, 2), prefixLength: 24 }] },
    { ...good, networks: [{ address: Uint8Array.of(10, 9, 0, 2), prefixLength: 33 }] },
    { ...good, endpoints: [{ ...at, port: 0 }] },
    { ...good, endpoints: [{ ...at, address: Uint8Array.of(1, 2, 3) }] },
    { ...good, endpoints: Array.from({ length: 7 }, () => at) },
    { ...good, macs: Array.from({ length: 3 }, () => new Uint8Array(6)) },
  ]
  t.ok(readMember(writeMember(good)))
  for (const it of bad) t.equal(readMember(writeMember(it)), undefined)
  const ask = { epoch: 1, revision: 2 }
  t.equal(readClaims(writeAsk(ask)), undefined, 'who says nothing of itself')
  t.equal(readClaims(writeAsk(ask, { endpoints: Array.from({ length: 5 }, () => at), macs: [] })), undefined)
  t.equal(readAsk(Buffer.of(2, ...new Uint8Array(11))), undefined, 'another version')
  t.equal(readIntroduction(Buffer.of(2, ...new Uint8Array(19))), undefined)
  t.equal(readIntroduction(Buffer.of(1, 3, ...new Uint8Array(18))), undefined, 'another kind')
})

t.test('the longest member fits into what main sees of a control frame', async (t) => {
  for (const mode of ['tap', 'tun'] as const) {
    const content = new Uint8Array(20 + MAX_MEMBER_BYTES).fill(5)
    const frame = writeControl(mode, { type: 'introduction', token: 1n, sizeBytes: 0, content })
    t.ok(frame.length <= 512, `${frame.length} bytes`)
    t.same(readControl(mode, frame, frame.length)?.content, content)
    t.equal(readControl(mode, frame.subarray(0, 300), frame.length), undefined, 'a part is no message')
  }
})
