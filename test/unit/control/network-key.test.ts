import { randomBytes } from 'node:crypto'
import t from 'tap'
import { NetworkKey } from '../../../src/control/network-key.js'
import { SignedNetwork } from '../../support/signed-network.js'

t.test('the key that counts is the one that was told last', (t) => {
  const [one, other] = [randomBytes(32), randomBytes(32)].map((seed) => new SignedNetwork(seed))
  const record = one.record({ name: 'a', publicKey: Uint8Array.from(randomBytes(32)) })
  const key = new NetworkKey()
  const steps = [undefined, one.text, one.text, other.text, one.text, undefined].map((text) => ({
    isNew: key.follow(text),
    isSet: key.isSet,
    hasSigned: key.hasSigned(record),
  }))
  t.same(steps, [
    { isNew: false, isSet: false, hasSigned: false },
    { isNew: true, isSet: true, hasSigned: true },
    { isNew: false, isSet: true, hasSigned: true },
    { isNew: true, isSet: true, hasSigned: false },
    { isNew: true, isSet: true, hasSigned: true },
    { isNew: true, isSet: false, hasSigned: false },
  ])
  t.end()
})
