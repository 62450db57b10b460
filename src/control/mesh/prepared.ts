import { formatPrefix } from '../../config/addresses.js'
import type { PeerSettings } from '../../config/schema.js'
import { networksOf, peerNetworks } from '../../config/told-networks.js'
import { parsePeerName } from '../../config/values.js'
import { formatKey } from '../../key-text.js'
import type { ToldMember } from '../../wire/introduction.js'
import type { DeviceMode } from '../../wire/mode.js'
import type { Told } from '../discovery/told.js'

/** What follows from what was told of one member alone. */
export interface Prepared {
  /** Its public key, in base64. */
  readonly key: string
  /** The settings of the peer that it would be, without MACs; or what is wrong with it: the rest of a sentence. */
  readonly settings: PeerSettings | string
  /** Its networks as text, to be compared. */
  readonly networks: string
}

export interface PreparedFor {
  readonly mode: DeviceMode
  /** Whether records count. One that nobody has looked at says nothing. */
  readonly isSigned: boolean
}

const keys = new WeakMap<ToldMember, string>()

/** The public key of a member, in base64. */
export function keyOfTold(member: ToldMember): string {
  const known = keys.get(member)
  if (known !== undefined) return known
  const key = formatKey(member.publicKey)
  keys.set(member, key)
  return key
}

/** What is told stays the same object until it is told otherwise, and all of it is judged at each change. */
const known = new WeakMap<Told, Prepared & PreparedFor>()

export function prepare(told: Told, { mode, isSigned }: PreparedFor): Prepared {
  const before = known.get(told)
  if (before?.mode === mode && before.isSigned === isSigned) return before
  const settings = peerOf(told, { mode, isSigned })
  const networks = typeof settings === 'string' ? '' : networksOf(settings).map(formatPrefix).join()
  const now = { key: keyOfTold(told.member), settings, networks, mode, isSigned }
  known.set(told, now)
  return now
}

function peerOf({ by, member }: Told, { mode, isSigned }: PreparedFor): PeerSettings | string {
  const { publicKey, name, networks, record } = member
  try {
    const { addresses, prefixes } = peerNetworks(networks)
    if (mode === 'tap' && prefixes.length > 0)
      return `with the prefix ${formatPrefix(prefixes[0])}, and in mode tap a peer has only addresses`
    return {
      name: parsePeerName(name),
      endpoint: undefined,
      addresses,
      prefixes,
      macs: [],
      everything: false,
      public_key: Buffer.from(publicKey),
      preshared_key_file: undefined,
      persistent_keepalive: undefined,
      introduced_by: by,
      ...(isSigned ? { record } : {}),
    }
  } catch (error) {
    if (error instanceof RangeError) return `in a way that makes no sense: ${error.message}`
    throw error
  }
}
