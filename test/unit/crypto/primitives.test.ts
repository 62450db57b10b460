import { createCipheriv, generateKeyPairSync } from 'node:crypto'
import { blake2s } from '@noble/hashes/blake2.js'
import fc from 'fast-check'
import t from 'tap'
import {
  agree,
  hash,
  hmac,
  importPrivateKey,
  importPublicKey,
  kdf,
  mac,
  makePrivateKey,
  open,
  openCookie,
  publicKeyOf,
  seal,
} from '../../../src/crypto/primitives.js'
import { formatKey, parseKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'
import { tai64n } from '../../../src/noise/tai64n.js'

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const range = (from: number, count: number) => Uint8Array.from({ length: count }, (_, index) => from + index)

const SUNSCREEN = Buffer.from(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
)

t.test('Curve25519: the vectors of RFC 7748, sections 5.2 and 6.1', async (t) => {
  const multiply = (scalar: string, point: string) =>
    agree(importPrivateKey(hex(scalar)), importPublicKey(hex(point)))?.toString('hex')
  t.equal(
    multiply(
      'a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4',
      'e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c',
    ),
    'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
  )
  t.equal(
    multiply(
      '4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d',
      'e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493',
    ),
    '95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957',
  )
  const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')
  const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')
  const alicePublic = '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'
  const bobPublic = 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'
  t.equal(publicKeyOf(importPrivateKey(alice)).toString('hex'), alicePublic)
  t.equal(publicKeyOf(importPrivateKey(bob)).toString('hex'), bobPublic)
  const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
  t.equal(multiply(alice.toString('hex'), bobPublic), shared)
  t.equal(multiply(bob.toString('hex'), alicePublic), shared)
})

t.test('a point of small order agrees with nobody', async (t) => {
  const small = [
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ]
  for (const point of small)
    t.equal(agree(importPrivateKey(range(1, 32)), importPublicKey(hex(point))), undefined)
})

t.test('BLAKE2s: RFC 7693, its known answers with a key, and what Python makes of the rest', async (t) => {
  const abc = Buffer.from('abc')
  t.equal(hash(abc).toString('hex'), '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982')
  t.same(hash(Buffer.from('a'), Buffer.from('bc')), hash(abc))
  const key = range(0, 32)
  const known = '48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49'
  t.equal(Buffer.from(blake2s(new Uint8Array(), { key })).toString('hex'), known)
  t.equal(Buffer.from(mac(key, abc)).toString('hex'), '61ba5f165c194692e09d12520cc4c74a')
  t.equal(hmac(key, abc).toString('hex'), '82623be5bc0a391b24dce53e67d028eff92d586de0485ac37822e597d049c74f')
})

t.test('HKDF: each key is made of the one before, and fewer are the beginning of more', async (t) => {
  const [key, input] = [range(0, 32), range(9, 40)]
  const three = kdf(3, key, input)
  const secret = hmac(key, input)
  t.same(three[0], hmac(secret, Uint8Array.of(1)))
  t.same(three[1], hmac(secret, three[0], Uint8Array.of(2)))
  t.same(three[2], hmac(secret, three[1], Uint8Array.of(3)))
  t.same(kdf(1, key, input), three.slice(0, 1))
})

t.test('ChaCha20-Poly1305: the vector of RFC 8439, section 2.8.2', async (t) => {
  const cipher = createCipheriv('chacha20-poly1305', range(0x80, 32), hex('070000004041424344454647'), {
    authTagLength: 16,
  })
  cipher.setAAD(hex('50515253c0c1c2c3c4c5c6c7'), { plaintextLength: SUNSCREEN.length })
  const sealed = Buffer.concat([cipher.update(SUNSCREEN), cipher.final(), cipher.getAuthTag()])
  t.equal(
    sealed.toString('hex'),
    `d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
     1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
     3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691`.replaceAll(/\s/g, ''),
  )
})

t.test('XChaCha20-Poly1305: the vector of draft-irtf-cfrg-xchacha, appendix A.3.1', async (t) => {
  const [key, nonce, data] = [range(0x80, 32), range(0x40, 24), hex('50515253c0c1c2c3c4c5c6c7')]
  const sealed = hex(
    `bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39
     ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
     21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49`,
  )
  t.same(Buffer.from(openCookie(key, nonce, sealed, data) ?? []), SUNSCREEN)
  sealed[3] ^= 1
  t.equal(openCookie(key, nonce, sealed, data), undefined)
})

t.test('what the handshake seals opens with the same key and data alone', async () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  const property = fc.property(bytes(32), fc.uint8Array(), bytes(32), fc.nat(), (key, plain, data, bit) => {
    const sealed = seal(key, plain, data)
    const right = open(key, sealed, data)?.equals(plain)
    sealed[(bit >>> 3) % sealed.length] ^= 1 << (bit & 7)
    return right === true && open(key, sealed, data) === undefined
  })
  fc.assert(property)
})

t.test('a key that was made is not exported: Node.js may then wait for itself for ever', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('x25519')
  let exported = 0
  const undo = [privateKey, publicKey].map((key) => {
    const kind = Object.getPrototypeOf(key)
    const { export: real } = kind
    kind.export = function (...args: unknown[]) {
      exported++
      return real.apply(this, args)
    }
    return () => {
      kind.export = real
    }
  })
  t.teardown(() => undo.map((it) => it()))
  publicKey.export({ format: 'jwk' })
  t.equal(exported, 1, 'it is seen')
  const [a, b] = [makePrivateKey(), makePrivateKey()]
  const secrets = [agree(a, importPublicKey(publicKeyOf(b))), agree(b, importPublicKey(publicKeyOf(a)))]
  t.same(secrets[0], secrets[1])
  t.equal(exported, 1)
})

t.test('TAI64N: the label of its epoch, and later is greater', async (t) => {
  t.equal(tai64n(0).toString('hex'), '400000000000000a00000000')
  t.equal(tai64n(1_735_689_600_500).toString('hex'), `40000000${(1_735_689_610).toString(16)}1d000000`)
  const time = fc.double({ min: 0, max: 4e12, noNaN: true })
  fc.assert(fc.property(time, time, (a, b) => a - b < 17 || tai64n(a).compare(tai64n(b)) > 0))
})

t.test('keys as texts: what wg writes, and nothing else', async (t) => {
  const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
  fc.assert(fc.property(key32, (key) => parseKey(formatKey(key))?.equals(key) === true))
  const right = formatKey(range(0, 32))
  t.equal(right.length, 44)
  for (const wrong of ['', right.slice(1), `${right} `, `${right.slice(0, 42)}B=`, right.replace('A', '-')])
    t.equal(parseKey(wrong), undefined, wrong)
  fc.assert(
    fc.property(key32, (random) => {
      const key = clampPrivateKey(random)
      return (key[0] & 7) === 0 && key[31] >>> 6 === 1 && derivePublicKey(key).equals(derivePublicKey(random))
    }),
  )
})
