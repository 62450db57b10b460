import { formatRecord, isRecordLine, parseRecord } from '../../config/record-text.js'
import { MAX_PEERS, type PeerSettings } from '../../config/schema.js'
import { formatKey, publicKeyText } from '../../key-text.js'
import { Rates } from '../../rates.js'
import { readRecord, type SignedRecord } from '../../wire/signed-record.js'
import { NetworkKey } from '../network-key.js'

/** How many new records of one member are looked at in a second, and in one burst. It has one in a year. */
const GIVEN_PER_SECOND = 1
const GIVEN_BURST = 4

/** What was done with a record: nothing; it is passed on from now on; or the rest of a sentence that says why not. */
export type Taken = 'nothing' | 'taken' | { readonly why: string }

export interface GivenRecordsOptions {
  /** Rows of the peer table. */
  readonly rows: number
  readonly nowMs: () => number
  /** The record of the host with this public key is another one now; undefined: none. */
  readonly onRecord: (publicKey: string, record: SignedRecord | undefined) => void
}

/** An introducer's records of its members: those of its settings, and those that members give of themselves. */
export class GivenRecords {
  readonly #rates: Rates
  readonly #nowMs: () => number
  readonly #onRecord: GivenRecordsOptions['onRecord']
  readonly #networkKey = new NetworkKey()
  /** By public key. */
  readonly #given = new Map<string, SignedRecord>()
  /** What each peer gave last, by its row, and to which record that was an answer. */
  readonly #last = new Map<
    number,
    { readonly bytes: Uint8Array; readonly beside: SignedRecord | undefined }
  >()

  constructor({ rows, nowMs, onRecord }: GivenRecordsOptions) {
    this.#nowMs = nowMs
    this.#onRecord = onRecord
    this.#rates = new Rates(rows, GIVEN_PER_SECOND, GIVEN_BURST)
  }

  /** From now on this network key counts. What another one has signed is forgotten. */
  follow(networkKey: string | undefined): void {
    if (!this.#networkKey.follow(networkKey)) return
    for (const [key, record] of this.#given) {
      if (this.#networkKey.hasSigned(record)) continue
      this.#given.delete(key)
      this.#onRecord(key, undefined)
    }
    this.#last.clear()
  }

  /** Takes what an earlier run has kept, as lines. */
  restore(lines: readonly string[]): void {
    for (const line of lines) {
      const record = readLine(line)
      if (record !== undefined && this.#networkKey.hasSigned(record)) this.#keep(record)
    }
  }

  #keep(record: SignedRecord): void {
    const key = formatKey(record.publicKey)
    this.#given.set(key, record)
    this.#onRecord(key, record)
  }

  /** Those of these peers, as lines. */
  linesOf(peers: readonly PeerSettings[]): string[] {
    const records = peers.flatMap(
      ({ public_key }) => public_key && (this.#given.get(formatKey(public_key)) ?? []),
    )
    return records.flatMap((it) => (it === undefined ? [] : formatRecord(it))).slice(0, MAX_PEERS)
  }

  /** The latest record of a peer. */
  recordOf({ public_key, record }: PeerSettings): SignedRecord | undefined {
    const given = public_key && this.#given.get(publicKeyText(public_key))
    if (given === undefined || record === undefined) return given ?? record
    return given.serial > record.serial ? given : record
  }

  /** A peer of the settings gives a record of itself. It does so again and again. */
  take(settings: PeerSettings, row: number, bytes: Uint8Array): Taken {
    const beside = this.recordOf(settings)
    if (isSame(beside?.bytes, bytes)) return 'nothing'
    const last = this.#last.get(row)
    if (last?.beside === beside && isSame(last?.bytes, bytes)) return 'nothing'
    if (!this.#networkKey.isSet) {
      this.#last.set(row, { bytes, beside })
      return {
        why: 'and this host has no network_key to look at it with; set one, or write the record into its settings',
      }
    }
    if (!this.#rates.allows(row, this.#nowMs())) return 'nothing'
    this.#last.set(row, { bytes, beside })
    const why = this.#troubleOf(readRecord(bytes), settings)
    if (typeof why === 'string') return { why }
    this.#keep(why)
    return 'taken'
  }

  /** A person gives the record of a peer. @returns why it is not taken: the rest of a sentence; undefined if it is */
  add(settings: PeerSettings, record: SignedRecord): string | undefined {
    if (isSame(this.recordOf(settings)?.bytes, record.bytes)) return undefined
    const good = this.#troubleOf(record, settings)
    if (typeof good === 'string') return good
    this.#keep(good)
    return undefined
  }

  /** @returns the record if it is good, or the rest of a sentence */
  #troubleOf(record: SignedRecord | undefined, settings: PeerSettings): SignedRecord | string {
    const { public_key } = settings
    const before = this.recordOf(settings)
    if (record === undefined) return 'which is damaged, or of another version'
    if (public_key === undefined || formatKey(record.publicKey) !== formatKey(public_key))
      return 'which is of another host'
    // Only what the network key has signed may be said: there are few such serial numbers, and ever others of a liar.
    if (!this.#networkKey.hasSigned(record)) return 'that the network key has not signed'
    if (before !== undefined && record.serial <= before.serial)
      return `whose serial number ${record.serial} is not greater than ${before.serial}, that of the record that is known`
    return record
  }
}

function readLine(line: string): SignedRecord | undefined {
  try {
    return isRecordLine(line) ? parseRecord(line) : undefined
  } catch {
    return undefined
  }
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0
}
