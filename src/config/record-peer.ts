import { derivePublicKey, deriveSigningKey } from '../noise/keys.js'
import type { SignedRecord } from '../wire/signed-record.js'
import type { Prefix } from './addresses.js'
import { isSignedBy, networkPublicKey } from './network-key.js'
import type { Secret } from './secret.js'
import { peerNetworks } from './told-networks.js'

/** What a record can say of a peer. */
export interface Recorded {
  readonly name?: string | undefined
  readonly public_key?: Buffer | undefined
  readonly addresses: string[]
  readonly prefixes?: Prefix[] | undefined
  readonly record?: SignedRecord | undefined
}

/** A peer of the settings. What they do not say of it, its record says. */
export function filledByRecord<P extends Recorded>(peer: P): P {
  const { record, name, public_key, addresses, prefixes } = peer
  if (record === undefined) return peer
  const isUnsaid = addresses.length === 0 && prefixes === undefined
  return {
    ...peer,
    name: name ?? record.name,
    public_key: public_key ?? Buffer.from(record.publicKey),
    ...(isUnsaid ? peerNetworks(record.networks) : {}),
  }
}

export interface OwnRecord {
  readonly network_key?: string | undefined
  readonly record?: SignedRecord | undefined
  readonly private_key_file?: Secret | undefined
}

/** What is wrong with the record of this host: the rest of a sentence; undefined if nothing is. */
export function troubleOfOwn({ record, network_key, private_key_file }: OwnRecord): string | undefined {
  if (record === undefined || private_key_file === undefined) return undefined
  const key = private_key_file.reveal()
  if (!derivePublicKey(key).equals(record.publicKey))
    return `is that of "${record.name}", whose public key is not that of this host; give the record of this host`
  if (record.signingKey && Buffer.compare(record.signingKey, deriveSigningKey(key).publicKey) !== 0)
    return 'has another signing key than this host; sign one by what udptun-fast network request prints here'
  return troubleOfSignature(record, network_key)
}

/** What is wrong with the record of a peer: the rest of a sentence; undefined if nothing is. */
export function troubleOfPeers(
  { record, public_key }: Pick<Recorded, 'record' | 'public_key'>,
  network_key: string | undefined,
): string | undefined {
  if (record === undefined || public_key === undefined) return undefined
  if (!public_key.equals(record.publicKey))
    return `is that of "${record.name}", whose public key is not that of this peer; give the record of this peer`
  return troubleOfSignature(record, network_key)
}

function troubleOfSignature(record: SignedRecord, network_key: string | undefined): string | undefined {
  if (network_key === undefined || isSignedBy(record, networkPublicKey(network_key))) return undefined
  return 'is not signed by the network_key of this host; give one that is, from udptun-fast network sign'
}
