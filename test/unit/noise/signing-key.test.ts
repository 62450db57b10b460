import { randomBytes } from 'node:crypto'
import t from 'tap'
import { clampPrivateKey, derivePublicKey, deriveSigningKey, OwnIdentity } from '../../../src/noise/keys.js'
import { isSignedByHost } from '../../../src/noise/signing-key.js'

t.test('it follows from the private key alone, clamped or not, and is no other key', async (t) => {
  const bytes = Buffer.alloc(32, 9)
  const key = deriveSigningKey(bytes)
  t.same(deriveSigningKey(clampPrivateKey(bytes)).publicKey, key.publicKey)
  t.same(new OwnIdentity(bytes).signingKey.publicKey, key.publicKey)
  t.not(Buffer.compare(key.publicKey, derivePublicKey(bytes)), 0)
  // Records that were signed once must stay valid.
  t.equal(
    Buffer.from(key.publicKey).toString('base64'),
    'FKxsRzvi8rCV1b1E0rzGKNJ1GtqOvLFxWTNFRtQvY18=',
    'as HKDF with HMAC-BLAKE2s and openssl give it',
  )
})

t.test('only its own signature, of the same message, is good', async (t) => {
  const [key, other] = [randomBytes(32), randomBytes(32)].map(deriveSigningKey)
  const message = randomBytes(100)
  const signature = key.sign(message)
  t.equal(signature.length, 64)
  t.ok(isSignedByHost(key.publicKey, message, signature))
  t.notOk(isSignedByHost(other.publicKey, message, signature))
  t.notOk(isSignedByHost(key.publicKey, Buffer.concat([message, Buffer.of(0)]), signature))
  for (let at = 0; at < signature.length; at++) {
    const turned = Uint8Array.from(signature)
    turned[at] ^= 1
    t.notOk(isSignedByHost(key.publicKey, message, turned))
  }
  for (const odd of [new Uint8Array(0), new Uint8Array(63), randomBytes(65)])
    t.notOk(isSignedByHost(key.publicKey, message, odd))
  for (const fill of [0, 1, 255])
    t.notOk(isSignedByHost(Buffer.alloc(32, fill), message, signature), 'any bytes may be a key')
})
