import { dayOf } from '../../config/record-text.js'
import type { SignedRecord } from '../../wire/signed-record.js'

/** So long before its end a person is reminded. */
const SOON_S = 14 * 86_400

const HOW = 'sign a new one with udptun-fast network sign, and reload'

/** What is to be said of the record of this host; undefined if its end is far away. */
export function reminderOf(record: SignedRecord | undefined, nowS: number): string | undefined {
  if (record === undefined || record.endsS - nowS > SOON_S) return undefined
  const day = dayOf(record.endsS)
  if (record.endsS > nowS)
    return `the record of this host ends on ${day}; ${HOW}, or other members drop it then`
  return `the record of this host ended on ${day}, and other members do not believe it any more; ${HOW}`
}
