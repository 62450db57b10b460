import t from 'tap'
import type { PeerSettings } from '../../../../src/config/schema.js'
import { PossibleKeys } from '../../../../src/control/mesh/possible-keys.js'
import type { OwnIdentity } from '../../../../src/noise/keys.js'

t.test('a key is looked at once, and again for another key of this host', async (t) => {
  let looks = 0
  const judge = {
    own: {} as OwnIdentity,
    isPossible: ({ public_key }: PeerSettings) => {
      looks++
      return public_key?.[0] !== 0
    },
  }
  const peer = (first: number) => ({ public_key: Buffer.alloc(32, first) }) as unknown as PeerSettings
  const keys = new PossibleKeys()
  const asked = () => [keys.isPossible(peer(0), judge), keys.isPossible(peer(1), judge)]
  t.same(asked(), [false, true])
  t.same(asked(), [false, true])
  keys.forgetOthers()
  t.same(asked(), [false, true])
  t.equal(looks, 2)
  judge.own = {} as OwnIdentity
  t.same(asked(), [false, true])
  t.equal(looks, 4)
  keys.forgetOthers()
  keys.forgetOthers()
  t.same(asked(), [false, true])
  t.equal(looks, 6, 'what nobody tells any more is forgotten')
})
