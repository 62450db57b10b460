import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { PeerSettings } from '../../../../src/config/schema.js'
import { checkPeer } from '../../../../src/control/private/known-peer.js'
import { clampPrivateKey, derivePublicKey, OwnIdentity } from '../../../../src/noise/keys.js'

const own = new OwnIdentity(clampPrivateKey(randomBytes(32)))
const peerWith = (public_key: Uint8Array | undefined) =>
  ({ name: 'b', public_key }) as unknown as PeerSettings

t.test('a key that no peer can have is a mistake in the settings', async (t) => {
  for (const [key, message] of [
    [undefined, /has no public key/],
    [own.publicKey, /is this host's own/],
    [Buffer.alloc(32), /is one that no host can have/],
  ] as const)
    t.throws(() => checkPeer(peerWith(key), own), { message, exitCode: 2 })
  const other = derivePublicKey(clampPrivateKey(randomBytes(32)))
  t.doesNotThrow(() => checkPeer(peerWith(other), own))
})
