import fc from 'fast-check'
import t from 'tap'
import { PortMapper } from '../../../../src/control/mesh/port-mapper.js'
import { readPcp, readPmp } from '../../../../src/wire/pcp.js'

const CLIENT = { address: '10.0.0.2', port: 5149 }
const NONCE = Uint8Array.from({ length: 12 }, (_, index) => index + 1)

/** What a router answers to a MAP request (RFC 6887, figures 3 and 10). */
function pcpAnswer(request: Uint8Array, more: { result?: number; lifetimeS?: number; epochS?: number } = {}) {
  const { result = 0, lifetimeS = 1_200, epochS = 77 } = more
  const bytes = Buffer.from(request)
  bytes[1] |= 0x80
  bytes[3] = result
  bytes.writeUInt32BE(lifetimeS, 4)
  bytes.writeUInt32BE(epochS, 8)
  bytes.fill(0, 12, 24)
  bytes.writeUInt16BE(40_000, 42)
  Buffer.from([...new Array(10).fill(0), 0xff, 0xff, 5, 5, 5, 2]).copy(bytes, 44)
  return bytes
}

/** The same of NAT-PMP (RFC 6886, 3.2 and 3.3). */
function pmpAnswer(request: Uint8Array, { result = 0, epochS = 77, address = [5, 5, 5, 2] } = {}) {
  const isMap = request[1] === 1
  const bytes = Buffer.alloc(isMap ? 16 : 12)
  bytes[1] = 0x80 | request[1]
  bytes.writeUInt16BE(result, 2)
  bytes.writeUInt32BE(epochS, 4)
  if (isMap) {
    bytes.set(request.subarray(4, 6), 8)
    bytes.writeUInt16BE(40_000, 10)
    bytes.writeUInt32BE(1_200, 12)
  } else bytes.set(address, 8)
  return bytes
}

const made = () => new PortMapper(CLIENT, NONCE)

/** Lets a minute of ticks pass. @returns when something was sent, and what */
function pass(
  mapper: PortMapper,
  fromMs: number,
  toMs: number,
  answer: (bytes: Uint8Array) => Uint8Array | undefined,
) {
  const sent: { readonly atMs: number; readonly version: number }[] = []
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 1_000)
    for (const bytes of mapper.tick(nowMs)) {
      sent.push({ atMs: nowMs, version: bytes[0] })
      const got = answer(bytes)
      if (got !== undefined) mapper.take(got, nowMs)
    }
  return sent
}

t.test('a MAP request has the bytes of RFC 6887', async (t) => {
  const [bytes] = made().tick(0)
  t.equal(
    Buffer.from(bytes).toString('hex'),
    [
      '02010000' + '000004b0',
      '00000000000000000000ffff0a000002',
      '0102030405060708090a0b0c',
      '11000000' + '141d' + '0000',
      '00000000000000000000ffff00000000',
    ].join(''),
  )
})

t.test('a mapping is renewed at half of its life, and removed with its nonce', async (t) => {
  const mapper = made()
  const epochAt = { nowMs: 0 }
  const sent = pass(mapper, 0, 2_000_000, (bytes) => {
    epochAt.nowMs += 600_000
    return pcpAnswer(bytes, { epochS: epochAt.nowMs / 1_000 })
  })
  t.same(
    sent.map(({ atMs }) => atMs),
    [0, 600_000, 1_200_000, 1_800_000],
  )
  t.same(mapper.mapping, {
    by: 'pcp',
    external: { address: '5.5.5.2', port: 40_000 },
    lifetimeS: 1_200,
  })
  t.equal(mapper.losses, 0)
  const removal = Buffer.from(mapper.removal() ?? [])
  t.equal(removal.readUInt32BE(4), 0, 'a lifetime of zero')
  t.same(removal.subarray(24, 36), Buffer.from(NONCE))
  t.equal(made().removal(), undefined, 'nothing is removed that there is not')
})

t.test('answers with another nonce, protocol or port are none', async (t) => {
  for (const at of [0, 1, 24, 35, 36, 41]) {
    const mapper = made()
    const [request] = mapper.tick(0)
    const forged = pcpAnswer(request)
    forged[at] ^= 0x40
    mapper.take(forged, 0)
    t.equal(mapper.mapping, undefined, `byte ${at}`)
  }
})

t.test('a router without PCP is asked by NAT-PMP, whether it says so or not', async (t) => {
  for (const says of [true, false]) {
    const mapper = made()
    const sent = pass(mapper, 0, 60_000, (bytes) => {
      if (bytes[0] === 0) return pmpAnswer(bytes)
      return says ? Uint8Array.of(0, 0x81, 0, 1, 0, 0, 0, 77) : undefined
    })
    t.match(mapper.mapping, { by: 'nat-pmp', external: { address: '5.5.5.2', port: 40_000 } })
    const firstMs = sent.find(({ version }) => version === 0)?.atMs ?? -1
    t.ok(firstMs <= (says ? 1_000 : 10_000), `${firstMs} ms`)
    t.equal(Buffer.from(mapper.removal() ?? []).toString('hex'), '00010000141d000000000000')
  }
})

t.test('a router that knows neither, or refuses, is said, and seldom asked again', async (t) => {
  const silent = made()
  const sent = pass(silent, 0, 3_600_000, () => undefined)
  t.equal(silent.trouble, 'does not answer')
  t.ok(sent.length < 100, `${sent.length} datagrams in an hour`)
  t.ok(
    sent.some(({ atMs }) => atMs > 1_800_000),
    'but for ever',
  )
  const refused = made()
  t.ok(pass(refused, 0, 600_000, (it) => pcpAnswer(it, { result: 2, lifetimeS: 300 })).length <= 3)
  t.equal(refused.trouble, 'refuses a mapping (NOT_AUTHORIZED)')
  const odd = made()
  pass(odd, 0, 20_000, (it) => (it[0] === 0 ? pmpAnswer(it, { result: 4 }) : undefined))
  t.equal(odd.trouble, 'refuses a mapping (out of resources)')
})

t.test('a mapping that is not renewed ends', async (t) => {
  const mapper = made()
  pass(mapper, 0, 1_000, (bytes) => pcpAnswer(bytes))
  t.ok(mapper.mapping)
  pass(mapper, 1_000, 1_199_000, () => undefined)
  t.ok(mapper.mapping)
  pass(mapper, 1_199_000, 1_202_000, () => undefined)
  t.equal(mapper.mapping, undefined)
})

t.test('a router that has restarted is noticed by its epoch', async (t) => {
  for (const [epochS, losses] of [
    [677, 0],
    [680, 0],
    [640, 0],
    [3, 1],
    [5_000, 1],
  ]) {
    const mapper = made()
    pass(mapper, 0, 1_000, (bytes) => pcpAnswer(bytes, { epochS: 77 }))
    pass(mapper, 600_000, 601_000, (bytes) => pcpAnswer(bytes, { epochS }))
    t.equal(mapper.losses, losses, `from 77 to ${epochS} in 600 s`)
    t.ok(mapper.mapping)
  }
})

t.test('a router that is silent to PCP is found again after a rest', async (t) => {
  const good = (bytes: Uint8Array) => (bytes[0] === 0 ? pmpAnswer(bytes) : undefined)
  const bad: Record<string, (bytes: Uint8Array) => Uint8Array | undefined> = {
    'its line is down': (bytes) => (bytes[0] === 0 ? pmpAnswer(bytes, { result: 3 }) : undefined),
    'it has no address': (bytes) =>
      bytes[0] === 0 ? pmpAnswer(bytes, { address: [0, 0, 0, 0] }) : undefined,
    'it is away': () => undefined,
  }
  for (const [what, answer] of Object.entries(bad))
    for (const isKnown of [true, false]) {
      const mapper = made()
      pass(mapper, 0, 100_000, isKnown ? good : answer)
      pass(mapper, 100_000, 800_000, answer)
      t.ok(mapper.trouble, what)
      pass(mapper, 800_000, 1_500_000, good)
      t.match(mapper.mapping, { by: 'nat-pmp' }, `${what}, and it was ${isKnown ? '' : 'not '}known before`)
    }
})

t.test('a mapping is removed in the protocol that has made it, also in a rest', async (t) => {
  const mapper = made()
  pass(mapper, 0, 100_000, (bytes) => (bytes[0] === 0 ? pmpAnswer(bytes) : undefined))
  pass(mapper, 100_000, 700_000, () => undefined)
  t.equal(mapper.trouble, 'does not answer')
  t.equal(Buffer.from(mapper.removal() ?? []).toString('hex'), '00010000141d000000000000')
})

t.test('any bytes are read without an error', async () => {
  const request = { nonce: NONCE, client: CLIENT, suggested: undefined, lifetimeS: 1 }
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom(0, 2),
      fc.nat(255),
      (rest, version, second) => {
        for (const bytes of [rest, Buffer.concat([Buffer.of(version, second), rest])]) {
          readPcp(bytes, request)
          readPmp(bytes, request)
        }
      },
    ),
    { numRuns: 3_000 },
  )
})
