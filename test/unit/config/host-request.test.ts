import { randomBytes } from 'node:crypto'
import t from 'tap'
import { formatRequest, parseRequest } from '../../../src/config/host-request.js'

t.test('a request is read again, and one that is not whole is refused', async (t) => {
  const keys = { publicKey: Uint8Array.from(randomBytes(32)), signingKey: Uint8Array.from(randomBytes(32)) }
  const text = formatRequest(keys)
  t.same(parseRequest(text), keys)
  for (let length = 0; length < text.length; length++)
    t.throws(() => parseRequest(text.slice(0, length)), RangeError, `${length} characters`)
  const at = text.length - 40
  const other = text[at] === 'A' ? 'B' : 'A'
  t.throws(() => parseRequest(text.slice(0, at) + other + text.slice(at + 1)), /is damaged/)
  t.throws(() => parseRequest('laptop.pub'), /is no request, which begins with udptun-request:/)
})
