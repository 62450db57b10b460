import { createCipheriv, randomBytes } from 'node:crypto'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { blake2s } from '@noble/hashes/blake2.js'
import fc from 'fast-check'
import t from 'tap'
import {
  type Crypto,
  MAX_MAC_INPUT_BYTES,
  OPENING_SLOTS,
  SEALING_SLOT_BYTES,
  SEALING_SLOT_SKEW,
} from '../../../src/crypto/ciphers.js'
import { findCrypto } from '../../../src/crypto/find-crypto.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { byteOperations } from '../../../src/offload/bytes.js'

const KEY = 0
const SCRATCH = 1024
const KEYS = 2048
const PLACES = 4096
const FIRST_PLACE = OPENING_SLOTS.end
const PLACES_BYTES = FIRST_PLACE * SEALING_SLOT_BYTES + 16_384
const OUTSIDE = PLACES + PLACES_BYTES

const SYSTEMS = findCrypto(['libcrypto.so.3'])

/**
 * Node shows its own OpenSSL's functions to every library in the process, the system's OpenSSL too: of another
 * version than Node's it would call functions that are not its own. Where Node shows none there is none of that.
 */
const minorOf = (text: string) => /\d+\.\d+/.exec(text)?.[0]
const mixes = minorOf(SYSTEMS.name) !== minorOf(process.versions.openssl)

/** Each way there is, and what only it does. */
const WAYS: readonly (readonly [string, Crypto])[] = [
  ["OpenSSL's primitives in Node's own binary", findCrypto([null])],
  ["EVP in Node's own binary", findCrypto([null], false)],
  ...(mixes ? [] : [["EVP in the system's OpenSSL", SYSTEMS] as const]),
  ['node:crypto', findCrypto([])],
]

function setUp(crypto: Crypto) {
  const memory = NativeMemory.allocate(OUTSIDE + 8192)
  const { copy } = byteOperations(memory)
  const aead = crypto.aead({ memory, at: PLACES, bytes: PLACES_BYTES, scratch: SCRATCH, keys: KEYS, copy })
  const setKeys = (key: Uint8Array) => {
    memory.u8.set(key, KEY)
    aead.setKey(0, KEY, true)
    aead.setKey(1, KEY, false)
  }
  return { memory, aead, setKeys }
}

/** The same by createCipheriv, checked against RFC 8439 in primitives.test.ts. */
function reference(key: Uint8Array, counter: bigint, plain: Uint8Array): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64LE(counter, 4)
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 })
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const counter64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const halves = (counter: bigint) => [Number(counter >> 32n), Number(counter & 0xffff_ffffn)] as const

for (const [name, crypto] of WAYS) {
  t.test(`${name}: what is sealed in a place is ChaCha20-Poly1305, and opens again elsewhere`, async (t) => {
    const { memory, aead, setKeys } = setUp(crypto)
    const plains = fc.uint8Array({ maxLength: 2000 })
    const property = fc.property(
      key32,
      counter64,
      plains,
      fc.nat(200),
      fc.nat(7),
      (key, counter, plain, place, odd) => {
        setKeys(key)
        const at = PLACES + (FIRST_PLACE + place) * SEALING_SLOT_BYTES + SEALING_SLOT_SKEW
        memory.u8.set(plain, at)
        aead.seal(0, ...halves(counter), FIRST_PLACE + place, plain.length)
        const sealed = Buffer.from(memory.u8.slice(at, at + plain.length + 16))
        if (!sealed.equals(reference(key, counter, plain))) return false
        memory.u8.set(sealed, OUTSIDE + odd)
        if (!aead.open(1, ...halves(counter), OUTSIDE + odd, sealed.length)) return false
        return Buffer.from(plain).equals(memory.u8.slice(OUTSIDE + odd, OUTSIDE + odd + plain.length))
      },
    )
    fc.assert(property, { numRuns: 200 })
    t.match(crypto.name, /^OpenSSL 3\.|^node:crypto$/)
  })

  t.test(`${name}: one bit, another number or another key, and nothing opens`, async (t) => {
    const { memory, aead, setKeys } = setUp(crypto)
    const key = randomBytes(32)
    const bytes = 116
    const sealed = reference(key, 7n, randomBytes(bytes - 16))
    const opens = (changed: Uint8Array, high = 0, low = 7) => {
      memory.u8.set(changed, OUTSIDE)
      const opened = aead.open(1, high, low, OUTSIDE, changed.length)
      const asItWas = Buffer.from(changed).equals(memory.u8.slice(OUTSIDE, OUTSIDE + changed.length))
      if (!opened && !asItWas) throw new Error('it is not as it was')
      return opened
    }
    setKeys(key)
    t.ok(opens(sealed))
    for (let bit = 0; bit < bytes * 8; bit++) {
      const changed = Buffer.from(sealed)
      changed[bit >>> 3] ^= 1 << (bit & 7)
      if (opens(changed)) t.fail(`bit ${bit}`)
    }
    t.notOk(opens(sealed, 0, 8))
    t.notOk(opens(sealed, 1, 7))
    t.notOk(opens(sealed.subarray(0, -1)))
    t.notOk(opens(sealed.subarray(0, 16)))
    t.ok(opens(sealed), 'after all that, it still does')
    setKeys(randomBytes(32))
    t.notOk(opens(sealed))
  })

  t.test(`${name}: BLAKE2s with a key is checked to the last bit`, async () => {
    const memory = NativeMemory.allocate(OUTSIDE + 8192)
    const property = fc.property(
      key32,
      fc.uint8Array({ minLength: 1, maxLength: 128 }),
      fc.nat(127),
      (key, input, bit) => {
        const check = crypto.mac(memory, SCRATCH, key)
        memory.u8.set(input, OUTSIDE)
        memory.u8.set(blake2s(input, { key, dkLen: 16 }), OUTSIDE + 500)
        const right = check.isRight(OUTSIDE, input.length, OUTSIDE + 500)
        memory.u8[OUTSIDE + 500 + (bit >>> 3)] ^= 1 << (bit & 7)
        return right && !check.isRight(OUTSIDE, input.length, OUTSIDE + 500)
      },
    )
    fc.assert(property)
  })

  t.test(`${name}: BLAKE2s with one key after the other, of any length`, async () => {
    const memory = NativeMemory.allocate(OUTSIDE + 8192)
    const made = crypto.mac(memory, SCRATCH, randomBytes(32))
    const keys = fc.uint8Array({ minLength: 1, maxLength: 32 })
    const inputs = fc.uint8Array({ minLength: 1, maxLength: MAX_MAC_INPUT_BYTES })
    const property = fc.property(keys, inputs, (key, input) => {
      memory.u8.set(key, OUTSIDE + 500)
      memory.u8.set(input, OUTSIDE)
      made.setKey(OUTSIDE + 500, key.length)
      made.write(OUTSIDE, input.length, OUTSIDE + 600)
      return Buffer.from(blake2s(input, { key, dkLen: 16 })).equals(
        memory.u8.slice(OUTSIDE + 600, OUTSIDE + 616),
      )
    })
    fc.assert(property)
  })

  t.test(`${name}: a cookie is sealed as XChaCha20-Poly1305 has it`, async () => {
    const memory = NativeMemory.allocate(OUTSIDE + 8192)
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
    const property = fc.property(
      key32,
      fc.array(fc.tuple(bytes(24), bytes(16), bytes(16)), { minLength: 1, maxLength: 3 }),
      (key, cookies) => {
        const sealer = crypto.cookieSealer(memory, SCRATCH, cookies.length % 2 === 0 ? key : randomBytes(32))
        memory.u8.set(key, OUTSIDE + 600)
        if (cookies.length % 2 !== 0) sealer.setKey(OUTSIDE + 600)
        return cookies.every(([nonce, cookie, data]) => {
          memory.u8.set(nonce, OUTSIDE)
          memory.u8.set(cookie, OUTSIDE + 32)
          memory.u8.set(data, OUTSIDE + 50)
          sealer.seal(OUTSIDE, OUTSIDE + 32, OUTSIDE + 50, OUTSIDE + 72)
          const right = xchacha20poly1305(key, nonce, data).encrypt(cookie)
          return Buffer.from(right).equals(memory.u8.slice(OUTSIDE + 72, OUTSIDE + 104))
        })
      },
    )
    fc.assert(property)
  })
}

t.test('where no library has what is needed, node:crypto does it', async (t) => {
  t.equal(findCrypto(['libc.so.6', 'libno-such-thing.so']).name, 'node:crypto')
  t.match(findCrypto().name, /Node's own/)
})
