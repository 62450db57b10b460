import { hash } from '../crypto/primitives.js'
import { NAME_MASK, type RelayName } from '../wire/relay.js'

const LABEL = Buffer.from('relay---')

/** How relayed messages name the end with this public key: the first bytes of a hash, BLAKE2s as for WireGuard's labels. */
export function relayNameOf(publicKey: Uint8Array): RelayName {
  const bytes = hash(LABEL, publicKey)
  return { low: bytes.readInt32LE(0), high: bytes.readInt32LE(4) & NAME_MASK }
}
