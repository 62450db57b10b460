import { dayOf } from '../../config/record-text.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import type { Told } from '../discovery/told.js'
import { type Span, spanAround } from '../span.js'
import { keyOfTold } from './prepared.js'
import type { Pin, Refusal } from './refusal.js'

/** How a member with a `network_key` tells good records from others. */
export interface Signing {
  /**
   * Whether the network key has signed a record; undefined if that is not known yet, because too many others are looked at.
   * @param by who has told it
   */
  readonly isSigned: (record: SignedRecord, by: string) => boolean | undefined
  /** Seconds since 1970. */
  readonly nowS: number
}

export interface Judged {
  /** Those whose records are good. The greatest serial number is first, so that it wins where two want the same. */
  readonly told: readonly Told[]
  readonly refusals: readonly Refusal[]
  /** The records that the network key has signed, and that are the latest of their names, by these names. */
  readonly seen: ReadonlyMap<string, Pin>
  /** At another time, other records may be valid. */
  readonly holds: Span
  /** Whether some are not looked at yet. */
  readonly isPending: boolean
  readonly latest: Latest
}

interface Candidate {
  readonly told: Told
  readonly key: string
  readonly record: SignedRecord
}

/**
 * Which members a network key stands for. A record counts if the key has signed it, if its end has not come, and if no
 * record of the same name, or of the same public key, has a greater serial number or has had one. Of two records with one
 * serial number, the one that was seen first counts. A record that has ended still has its serial number.
 *
 * @param told in the order in which they were told first
 * @param pins what was seen before, by name
 */
export function judge(told: readonly Told[], signing: Signing, pins: ReadonlyMap<string, Pin>): Judged {
  const refusals: Refusal[] = []
  const refuse = ({ by, member }: Told, how: string, isLoud = false) =>
    refusals.push({
      key: keyOfTold(member),
      by,
      why: `${by} introduces ${member.name} (${keyOfTold(member)}) ${how}`,
      isLoud,
    })
  const candidates: Candidate[] = []
  let isPending = false
  for (const each of told) {
    const { record } = each.member
    const isSigned = record && signing.isSigned(record, each.by)
    if (record === undefined) refuse(each, 'without a signed record, and this host has a network_key', true)
    else if (isSigned === undefined) isPending = true
    else if (!isSigned)
      refuse(
        each,
        'with a record that the network key has not signed: it is forged, or of another network',
        true,
      )
    else candidates.push({ told: each, key: keyOfTold(each.member), record })
  }
  candidates.sort((a, b) => b.record.serial - a.record.serial)
  const latest = new Latest(pins)
  const good = candidates.filter((it) => {
    const wrong = latest.objectionTo(it)
    if (wrong !== undefined) refuse(it.told, wrong)
    else if (it.record.endsS <= signing.nowS)
      refuse(it.told, `with a record that ended on ${dayOf(it.record.endsS)}; it needs a new one`)
    else return true
    return false
  })
  return {
    told: good.map((it) => it.told),
    refusals,
    seen: latest.seen,
    holds: spanAround(
      signing.nowS,
      candidates.map(({ record }) => record.endsS),
    ),
    isPending,
    latest,
  }
}

/**
 * One more is told, of a name and a public key that nobody has told of.
 * @returns undefined if all must be judged anew, or if it is refused; what was judged is of no more use then
 */
export function judgeAlso(judged: Judged, told: Told, signing: Signing): Judged | undefined {
  const { latest, holds, isPending } = judged
  const { record } = told.member
  if (isPending || record === undefined || record.endsS <= signing.nowS) return undefined
  if (signing.isSigned(record, told.by) !== true) return undefined
  if (latest.objectionTo({ told, key: keyOfTold(told.member), record }) !== undefined) return undefined
  return { ...judged, holds: { ...holds, untilS: Math.min(holds.untilS, record.endsS) } }
}

/** The latest record of each name and of each public key. It must be asked for records in falling order of serial. */
export class Latest {
  readonly seen = new Map<string, Pin>()
  readonly #pins: ReadonlyMap<string, Pin>
  /** The greatest serial number of each public key, and the name in that record. */
  readonly #keys = new Map<string, { serial: number; name: string }>()
  readonly #bytes = new Map<string, Uint8Array>()
  /** Whether some do not agree with each other, or with what was seen before. */
  hasObjected = false

  constructor(pins: ReadonlyMap<string, Pin>) {
    this.#pins = pins
    for (const [name, { key, serial = -1 }] of pins)
      if (serial > (this.#keys.get(key)?.serial ?? -1)) this.#keys.set(key, { serial, name })
  }

  /** Why a record does not count: the rest of a sentence; undefined if it is the latest one. */
  objectionTo(candidate: Candidate): string | undefined {
    const why = this.#objectionTo(candidate)
    if (why !== undefined) this.hasObjected = true
    return why
  }

  #objectionTo({ key, record }: Candidate): string | undefined {
    const { name, serial, bytes } = record
    const ofName = this.seen.get(name) ?? this.#pins.get(name)
    const ofKey = this.#keys.get(key)
    const first = this.#bytes.get(name)
    // Also one that does not count replaces older ones.
    if (serial > (ofName?.serial ?? -1)) {
      this.seen.set(name, { key, serial })
      this.#bytes.set(name, bytes)
    } else if (first === undefined && serial === ofName?.serial && key === ofName.key)
      this.#bytes.set(name, bytes)
    if (serial > (ofKey?.serial ?? -1)) this.#keys.set(key, { serial, name })
    const known = Math.max(ofName?.serial ?? -1, ofKey?.serial ?? -1)
    if (serial < known)
      return `with an old record: its serial number is ${serial}, and one with ${known} was seen; the later one counts`
    const isOther =
      (serial === ofName?.serial && key !== ofName.key) || (serial === ofKey?.serial && name !== ofKey.name)
    if (isOther || (first !== undefined && Buffer.compare(first, bytes) !== 0))
      return `with another record than one that was seen, and both have the serial number ${serial}; sign one of them again`
    return undefined
  }
}
