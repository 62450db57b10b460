import { randomBytes } from 'node:crypto'
import t from 'tap'
import {
  type Answer,
  readJoin,
  readJoined,
  VERDICTS,
  writeJoin,
  writeJoined,
} from '../../../src/invitation/answer.js'

const member: Answer = {
  verdict: 'member',
  membership: {
    presharedKey: Uint8Array.from(randomBytes(32)),
    addresses: [{ address: '10.9.0.2', prefixLength: 24 }],
    introducer: [
      { address: '10.9.0.1', prefixLength: 24 },
      { address: 'fd00::1', prefixLength: 64 },
    ],
    networks: [{ address: '10.9.0.0', prefixLength: 24 }],
  },
}

const key = () => Uint8Array.from(randomBytes(32))

t.test('the keys, and each verdict', async (t) => {
  for (const keys of [{ publicKey: key() }, { publicKey: key(), signingKey: key() }])
    t.same(readJoin(writeJoin(keys)), keys)
  t.same(readJoined(writeJoined(member)), member)
  for (const verdict of VERDICTS)
    if (verdict !== 'member') t.same(readJoined(writeJoined({ verdict })), { verdict })
})

t.test('what is cut, or of another version, says nothing', async (t) => {
  const [join, joined] = [writeJoin({ publicKey: key() }), writeJoined(member)]
  for (let bytes = 0; bytes < join.length; bytes++) t.equal(readJoin(join.subarray(0, bytes)), undefined)
  for (let bytes = 0; bytes < joined.length; bytes++)
    t.equal(readJoined(joined.subarray(0, bytes)), undefined)
  t.equal(readJoin(Uint8Array.from([2, ...join.subarray(1)])), undefined)
  t.equal(readJoined(Uint8Array.from([2, ...joined.subarray(1)])), undefined)
  t.equal(readJoined(Uint8Array.from([1, 99, 0, 0])), undefined)
  for (let round = 0; round < 1_000; round++) {
    const random = randomBytes(round % 100)
    random.set([1, 0].slice(0, random.length))
    readJoined(random)
  }
})
