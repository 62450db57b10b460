import type { PeerSettings } from '../../config/schema.js'
import { wipe } from '../../crypto/primitives.js'
import { usageError } from '../../errors.js'
import { type KnownPeer, knowPeer } from '../../noise/handshake.js'
import { Identity, type OwnIdentity } from '../../noise/keys.js'

/**
 * What a handshake with a peer needs of its keys. It has a copy of the preshared key.
 * @param own this host's identity; undefined: none
 * @throws UserError (exit code 2) for impossible keys
 */
export function knownPeer(settings: PeerSettings, own: OwnIdentity | undefined): KnownPeer {
  const { public_key, preshared_key_file: psk } = settings
  if (public_key === undefined) throw usageError(`the peer ${settings.name} has no public key`)
  if (own !== undefined && public_key.equals(own.publicKey))
    throw usageError(
      `the public key of ${settings.name} is this host's own; give the key that udptun-fast pubkey prints on that host`,
    )
  const known = knowPeer(own, new Identity(public_key), psk?.reveal())
  if (known === undefined)
    throw usageError(`the public key of ${settings.name} is one that no host can have; check it`)
  return known
}

/** Checks whether there can be such a peer. @throws UserError, as {@link knownPeer} does */
export function checkPeer(settings: PeerSettings, own: OwnIdentity | undefined): void {
  const { staticSecret, presharedKey } = knownPeer(settings, own)
  wipe(staticSecret, presharedKey)
}
