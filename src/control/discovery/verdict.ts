import type { ToldMember } from '../../wire/introduction.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import type { ReadValue } from './member-value.js'
import type { Statement } from './statement.js'

/** Why what stands in a store is not believed. */
export const REFUSAL_REASONS = [
  /** It is no member's value. */
  'malformed',
  /** It is that of another member. */
  'foreign',
  /** It has no record, or no signature of the host that the record has a signing key of. */
  'unsigned',
  /** The network key has not signed the record, or the host has not signed where it is. */
  'forged',
  /** A later one was seen. */
  'old',
  /** There are too many keys. */
  'no_room',
] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

/** Knows what a network key, and hosts, have signed. Both return undefined if too much was looked at a moment ago. */
export interface Signatures {
  isRecordSigned(record: SignedRecord): boolean | undefined
  isStatementSigned(signingKey: Uint8Array, statement: Statement): boolean | undefined
}

/** The latest that was believed of a host: the serial number of its record, and that of its statement beside this record. */
export interface Latest {
  readonly record: number
  readonly statement: number
}

/** What was believed before. */
export interface Before {
  /** Of this name. */
  readonly member: ToldMember | undefined
  /** Of this public key. */
  readonly latest: Latest | undefined
}

export interface Refused {
  readonly reason: RefusalReason
  /** The rest of a sentence. */
  readonly why: string
}

const refused = (reason: RefusalReason, why: string): Refused => ({ reason, why })

/**
 * Whether a value may replace what is known of a member: the network key has signed its record, the host has signed
 * where it is if the record has a signing key, and neither is older than what was seen. Where a host is counts only
 * beside its record, so a new record begins its serial numbers anew.
 *
 * @returns `unknown`: ask again later
 */
export function verdictOn(
  { member, statement }: ReadValue,
  signatures: Signatures,
  before: Before,
): 'good' | 'unknown' | Refused {
  const { record } = member
  if (record === undefined)
    return refused('unsigned', 'is without a signed record, and this host has a network_key')
  const isKnown =
    before.member?.record !== undefined && Buffer.compare(before.member.record.bytes, record.bytes) === 0
  const isSigned = isKnown || signatures.isRecordSigned(record)
  if (isSigned === undefined) return 'unknown'
  if (!isSigned)
    return refused(
      'forged',
      'has a record that the network key has not signed: it is forged, or of another network',
    )
  const known = Math.max(before.member?.record?.serial ?? -1, before.latest?.record ?? -1)
  if (record.serial < known)
    return refused(
      'old',
      `has an old record: its serial number is ${record.serial}, and one with ${known} was seen`,
    )
  const { signingKey } = record
  if (signingKey === undefined) return 'good'
  if (statement === undefined)
    return refused('unsigned', 'says where its host is, and the host has not signed that')
  const isStated = signatures.isStatementSigned(signingKey, statement)
  if (isStated === undefined) return 'unknown'
  if (!isStated) return refused('forged', 'says where its host is, with a signature that is not of the host')
  const { latest } = before
  if (latest?.record === record.serial && statement.serial < latest.statement)
    return refused(
      'old',
      `says where its host was before: its serial number is ${statement.serial}, and one with ${latest.statement} was seen`,
    )
  return 'good'
}
