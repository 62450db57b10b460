import type { Command } from 'commander'
import { ask } from '../command/client.js'
import { parseRuleLine } from '../config/access-rule.js'
import { formatPrefix, parsePeerAddress, parsePrefix } from '../config/addresses.js'
import { formatRequest, type HostRequest, parseRequest } from '../config/host-request.js'
import { readKeyFile } from '../config/key-file.js'
import {
  isSignedBy,
  makeNetworkKey,
  networkPublicKey,
  parseNetworkKey,
  readNetworkKey,
  signRecord,
} from '../config/network-key.js'
import { dayOf, formatRecord, isRecordLine, parseRecord, parseRecordSetting } from '../config/record-text.js'
import { networkOf, toldNetworks } from '../config/told-networks.js'
import { parseGroup, parsePeerName, parsePublicKey } from '../config/values.js'
import type { AddedRecord } from '../control/mesh/add-record.js'
import { usageError, usageOf } from '../errors.js'
import { formatKey } from '../key-text.js'
import { derivePublicKey, deriveSigningKey } from '../noise/keys.js'
import { MAX_END_S, MAX_SERIAL, type SignedRecord } from '../wire/signed-record.js'
import { stdoutColors } from './colors.js'
import { chosenDevice } from './device.js'
import { examples } from './examples.js'
import { endIfOutputFails } from './output.js'
import { collect } from './repeated.js'
import { show } from './watch.js'

const EXAMPLES = `
Examples:
  udptun-fast network key network.key             once for a network; keep the file offline
  udptun-fast network request laptop.key         on the member: what is to be signed of it
  udptun-fast network sign network.key --name laptop --request udptun-request:… --address 10.9.0.3
  udptun-fast network show laptop.record --network-key <key>
`

const KEY_FILE = 'file with the private part of the network key'

/** Wider than any label of a record. */
const LABEL_CHARACTERS = 15

const DAY_S = 86_400
const DEFAULT_DAYS = 365
const MAX_DAYS = 36_500

export function addNetwork(program: Command): void {
  const network = program
    .command('network')
    .summary('say who belongs to a network, by signed records')
    .description(
      'Makes a network key, and signs with it who the members of a network are. Members with the setting network_key believe nothing else.',
    )
    .addHelpText('after', examples(EXAMPLES))
  network
    .command('key')
    .summary('make a network key')
    .description(
      'Makes a file with a new network key, for its owner alone, and prints the public part, for network_key in the settings of members.',
    )
    .argument('<key-file>', 'file to be made; one that is there is never overwritten')
    .action(key)
  network
    .command('request')
    .summary('ask for a signature')
    .description(
      'Prints the public keys of this host as one line, for network sign: the one of the tunnel, and the one with which this host signs where it is.',
    )
    .argument('<private-key-file>', "file with this host's private key, as in private_key_file")
    .action(request)
  network
    .command('sign')
    .summary('sign who a member is')
    .description('Signs a record of a member with the network key, and prints it as one line.')
    .argument('<key-file>', KEY_FILE)
    .requiredOption('--name <name>', 'name of the member')
    .option('--request <line>', 'the keys of the member, as udptun-fast network request prints them there')
    .option(
      '--public-key <key>',
      'instead of that: only its public key, as udptun-fast pubkey prints it. Where it is cannot be signed then',
    )
    .option('--address <address>', 'an overlay address that it may have; repeat it for each', collect)
    .option('--prefix <prefix>', 'mode tun: an overlay network behind it; repeat it for each', collect)
    .option('--group <name>', 'a group that it belongs to; repeat it for each', collect)
    .option(
      '--allow <rule>',
      'who may send to it, such as "from=group:admins protocol=tcp ports=22"; repeat it for each',
      collect,
    )
    .option(
      '--serial <number>',
      'serial number: a record with a greater one replaces this one (default: the present time in seconds)',
    )
    .option('--days <days>', 'days after which the record is not valid any more', String(DEFAULT_DAYS))
    .action(sign)
  network
    .command('show')
    .summary('show what a record says')
    .description(
      'Shows what a record says. With --network-key, also whether that key has signed it; if it has not, the exit code is 1.',
    )
    .argument('[record-or-file]', 'the record, or a file with it (default: standard input)')
    .option('--network-key <key>', 'public part of a network key')
    .option('--json', 'print JSON also on a terminal')
    .action(showRecord)
  network
    .command('add')
    .summary('give an introducer the record of a member')
    .description(
      'On an introducer: gives it the signed record of a member, such as one that was invited. It keeps the record, and tells the other members.',
    )
    .argument('[record-or-file]', 'the record, or a file with it (default: standard input)')
    .option('--dev <name>', 'the device of the tunnel (default: the only one)')
    .action(addRecord)
}

function key(file: string): void {
  endIfOutputFails()
  process.stdout.write(`${makeNetworkKey(file)}\n`)
}

function request(file: string): void {
  endIfOutputFails()
  const key = given('the private key', file, readKeyFile)
  const bytes = key.reveal()
  const keys = { publicKey: derivePublicKey(bytes), signingKey: deriveSigningKey(bytes).publicKey }
  key.wipe()
  process.stdout.write(`${formatRequest(keys)}\n`)
}

interface SignFlags {
  readonly name: string
  readonly request?: string
  readonly publicKey?: string
  readonly address?: readonly string[]
  readonly prefix?: readonly string[]
  readonly group?: readonly string[]
  readonly allow?: readonly string[]
  readonly serial?: string
  readonly days: string
}

function sign(file: string, flags: SignFlags): void {
  const nowS = Math.floor(Date.now() / 1_000)
  const { address = [], prefix = [], group = [], allow = [] } = flags
  const days = numberOf('--days', flags.days, 1, MAX_DAYS)
  const content = {
    name: given('--name', flags.name, parsePeerName),
    ...keysOf(flags),
    networks: toldNetworks({
      addresses: address.map((it) => given('--address', it, parsePeerAddress)),
      prefixes: prefix.map((it) => given('--prefix', it, parsePrefix)),
    }),
    groups: group.map((it) => given('--group', it, parseGroup)),
    allow: allow.map((it) => given('--allow', it, checkedRule)),
    serial: flags.serial === undefined ? nowS : numberOf('--serial', flags.serial, 0, MAX_SERIAL),
    endsS: Math.min(nowS + days * DAY_S, MAX_END_S),
  }
  endIfOutputFails()
  process.stdout.write(`${formatRecord(signRecord(content, readNetworkKey(file)))}\n`)
}

function keysOf({ request, publicKey }: SignFlags): Partial<HostRequest> & Pick<HostRequest, 'publicKey'> {
  if ((request === undefined) === (publicKey === undefined))
    throw usageError('give either --request or --public-key: whose record is it?')
  return request === undefined
    ? { publicKey: given('--public-key', publicKey ?? '', parsePublicKey) }
    : given('--request', request, parseRequest)
}

/** @returns the rule as it is @throws RangeError */
function checkedRule(line: string): string {
  parseRuleLine(line)
  return line
}

/** @throws UserError (exit code 2) that begins with the flag */
function given<T>(flag: string, text: string, parse: (text: string) => T): T {
  return usageOf(() => parse(text), `${flag}: `)
}

function numberOf(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw usageError(`${flag}: "${text}" is not right; write a whole number from ${least} to ${most}`)
  return value
}

interface ShowFlags {
  readonly networkKey?: string
  readonly json?: boolean
}

async function addRecord(argument: string | undefined, flags: { readonly dev?: string }): Promise<void> {
  endIfOutputFails()
  const line = formatRecord(await readRecordOf(argument))
  const device = await chosenDevice('network add --dev', undefined, flags.dev)
  const { name } = (await ask(device, { command: 'record', line })) as AddedRecord
  process.stdout.write(`the record of ${name} is kept, and the other members are told\n`)
}

/** What is shown of a record. */
export interface ShownRecord {
  readonly name: string
  readonly public_key: string
  /** Null: the member cannot sign where it is. */
  readonly signing_key: string | null
  readonly networks: readonly string[]
  readonly groups: readonly string[]
  readonly allow: readonly string[]
  readonly serial: number
  /** Such as 2027-01-31T12:00:00.000Z. */
  readonly ends: string
  readonly has_ended: boolean
  /** Null if no network key was given. */
  readonly signed: boolean | null
}

async function showRecord(argument: string | undefined, flags: ShowFlags): Promise<void> {
  const { networkKey } = flags
  const key = networkKey === undefined ? undefined : given('--network-key', networkKey, parseNetworkKey)
  const record = await readRecordOf(argument)
  const signed = key === undefined ? null : isSignedBy(record, networkPublicKey(key))
  if (signed === false) process.exitCode = 1
  await show(flags, async () => shownRecord(record, signed, Date.now()), renderRecord)
}

async function readRecordOf(argument: string | undefined): Promise<SignedRecord> {
  if (argument !== undefined) {
    const parse = isRecordLine(argument) ? parseRecord : parseRecordSetting
    return given('the record', argument, parse)
  }
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  return given('standard input', Buffer.concat(chunks).toString('latin1').trim(), parseRecord)
}

export function shownRecord(record: SignedRecord, signed: boolean | null, nowMs: number): ShownRecord {
  const { name, publicKey, signingKey, networks, groups, allow, serial, endsS } = record
  return {
    name,
    public_key: formatKey(publicKey),
    signing_key: signingKey === undefined ? null : formatKey(signingKey),
    networks: networks.map((it) => formatPrefix(networkOf(it))),
    groups,
    allow,
    serial,
    ends: new Date(endsS * 1_000).toISOString(),
    has_ended: endsS * 1_000 <= nowMs,
    signed,
  }
}

/** The record as text for a person. */
export function renderRecord(shown: ShownRecord): string {
  const { green, red, yellow, dim } = stdoutColors
  const day = dayOf(Date.parse(shown.ends) / 1_000)
  const signature = {
    true: green('by this network key'),
    false: red('not by this network key'),
    null: dim('not looked at: give --network-key'),
  }
  const lines = [
    ['name', shown.name],
    ['public key', shown.public_key],
    ['signing key', shown.signing_key ?? dim('none')],
    ['networks', shown.networks.join(', ') || dim('none')],
    ['groups', shown.groups.join(', ') || dim('none')],
    ['who may send', shown.allow.join('; ') || dim('everybody')],
    ['serial number', String(shown.serial)],
    ['valid until', shown.has_ended ? yellow(`${day}, which is over`) : day],
    ['signed', signature[`${shown.signed}`]],
  ]
  return lines.map(([what, value]) => `${dim(what.padEnd(LABEL_CHARACTERS))}${value}`).join('\n')
}
