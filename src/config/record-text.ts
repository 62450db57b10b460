import { closeSync, openSync, readSync } from 'node:fs'
import { readRecord, type SignedRecord } from '../wire/signed-record.js'
import { parseRuleLine } from './access-rule.js'
import { peerNetworks } from './told-networks.js'
import { parsePeerName } from './values.js'

/** How a line with a signed record begins. Its bytes follow, in base64. */
const PREFIX = 'udptun-record:'

/** Longer than any file with a record. */
const MAX_FILE_BYTES = 4096

const HOW = 'udptun-fast network sign makes one'

export function formatRecord({ bytes }: SignedRecord): string {
  return `${PREFIX}${Buffer.from(bytes).toString('base64')}`
}

/** Whether a text can only be a line with a record, and no name of a file. */
export function isRecordLine(text: string): boolean {
  return text.startsWith(PREFIX)
}

/** @throws RangeError: the rest of a sentence */
export function parseRecord(text: string): SignedRecord {
  if (!isRecordLine(text))
    throw new RangeError(`this is not a signed record, which begins with ${PREFIX}; ${HOW}`)
  const digits = text.slice(PREFIX.length)
  const bytes = Buffer.from(digits, 'base64')
  const record = bytes.toString('base64') === digits ? readRecord(bytes) : undefined
  if (record === undefined)
    throw new RangeError(
      'this signed record is damaged, or of another version; check that all of it is there',
    )
  return record
}

/** A line with a record, or the name of a file that has one. @throws RangeError: the rest of a sentence */
export function parseRecordSetting(text: string): SignedRecord {
  const record = parseRecord(isRecordLine(text) ? text : readLine(text))
  parsePeerName(record.name)
  peerNetworks(record.networks)
  for (const rule of record.allow) parseRuleLine(rule)
  return record
}

function readLine(path: string): string {
  const bytes = Buffer.alloc(MAX_FILE_BYTES)
  let fd: number | undefined
  try {
    fd = openSync(path, 'r')
    return bytes.toString('latin1', 0, readSync(fd, bytes, 0, bytes.length, null)).trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new RangeError(`"${path}" is neither a signed record nor a file that can be read (${code}); ${HOW}`)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** The day on which something ends, such as 2027-01-31. */
export function dayOf(unixS: number): string {
  return new Date(unixS * 1000).toISOString().slice(0, 10)
}
