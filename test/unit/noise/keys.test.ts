import { randomBytes } from 'node:crypto'
import t from 'tap'
import { clampPrivateKey, isSameKey } from '../../../src/noise/keys.js'

t.test('the bits that the curve sets make no other key', async (t) => {
  const bytes = randomBytes(32)
  bytes[0] |= 7
  const clamped = clampPrivateKey(bytes)
  t.ok(isSameKey(clamped, bytes) && isSameKey(clamped, clamped))
  bytes[5] ^= 1
  t.notOk(isSameKey(clamped, bytes))
})
