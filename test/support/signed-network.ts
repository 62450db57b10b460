import { createPrivateKey, type KeyObject } from 'node:crypto'
import { parsePrefix } from '../../src/config/addresses.js'
import { publicPart, signRecord } from '../../src/config/network-key.js'
import { formatRecord } from '../../src/config/record-text.js'
import { toldNetworks } from '../../src/config/told-networks.js'
import type { SignedRecord } from '../../src/wire/signed-record.js'

/** An Ed25519 key in PKCS #8 (RFC 8410, 7), without its 32 bytes. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface Signed {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly signingKey?: Uint8Array
  readonly addresses?: readonly string[]
  readonly prefixes?: readonly string[]
  readonly groups?: readonly string[]
  readonly allow?: readonly string[]
  readonly serial?: number
  readonly endsS?: number
}

/** The year 2100. */
const FAR_S = 4_102_444_800

/** A network with a key that signs records. */
export class SignedNetwork {
  readonly key: KeyObject
  /** For the setting `network_key`. */
  readonly text: string

  /** @param seed 32 bytes */
  constructor(seed: Uint8Array) {
    this.key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
    this.text = publicPart(this.key)
  }

  record({
    name,
    publicKey,
    signingKey,
    addresses = [],
    prefixes = [],
    groups = [],
    allow = [],
    serial = 1,
    endsS = FAR_S,
  }: Signed): SignedRecord {
    const networks = toldNetworks({ addresses, prefixes: prefixes.map(parsePrefix) })
    return signRecord(
      { name, publicKey: Uint8Array.from(publicKey), signingKey, networks, groups, allow, serial, endsS },
      this.key,
    )
  }

  line(signed: Signed): string {
    return formatRecord(this.record(signed))
  }
}
