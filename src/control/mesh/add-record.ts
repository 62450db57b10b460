import { parseRecordSetting } from '../../config/record-text.js'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError, usageOf } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import type { GivenRecords } from './given-records.js'

/** The answer to `udptun-fast network add`. */
export interface AddedRecord {
  readonly name: string
  readonly serial: number
}

interface Knowing {
  readonly wanted: () => Pick<Settings, 'introduce' | 'network_key'>
  readonly roster: { readonly all: readonly { readonly name: string; readonly settings: PeerSettings }[] }
}

/**
 * Takes the signed record of a member from a person.
 * @throws UserError; nothing has changed then
 */
export function addRecord(
  line: string,
  given: Pick<GivenRecords, 'add'>,
  { wanted, roster }: Knowing,
): AddedRecord {
  const { introduce, network_key } = wanted()
  if (!introduce)
    throw new UserError('this host is no introducer, so it passes no records on; give it to an introducer')
  if (network_key === undefined)
    throw new UserError('this host has no network_key to look at the record with; set one, and reload')
  const record = usageOf(() => parseRecordSetting(line))
  const key = formatKey(record.publicKey)
  const own = roster.all.filter(({ settings }) => settings.introduced_by === undefined)
  const member = own.find(
    ({ settings: { public_key } }) => public_key !== undefined && formatKey(public_key) === key,
  )
  if (member === undefined)
    throw new UserError(
      `no member of this host has the key ${key} of this record of ${record.name}; see: udptun-fast members`,
    )
  if (member.name !== record.name)
    throw new UserError(
      `this record calls the member "${record.name}", and here it is ${member.name}; sign one with --name ${member.name}`,
    )
  const why = given.add(member.settings, record)
  if (why !== undefined) throw new UserError(`this is a record of ${member.name} ${why}`)
  return { name: member.name, serial: record.serial }
}
