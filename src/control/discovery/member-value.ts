import ipaddr from 'ipaddr.js'
import * as z from 'zod'
import { formatPrefix, parsePrefix } from '../../config/addresses.js'
import { formatRecord, parseRecord } from '../../config/record-text.js'
import { bytesOfAddress, networkOf } from '../../config/told-networks.js'
import { parseOwnMac, parsePublicKey } from '../../config/values.js'
import { formatKey } from '../../key-text.js'
import { formatMac } from '../../wire/ethernet.js'
import {
  ENDPOINT_KIND,
  MAX_TOLD_ENDPOINTS,
  MAX_TOLD_MACS,
  type ToldEndpoint,
  type ToldMember,
} from '../../wire/introduction.js'
import { MAX_SERIAL } from '../../wire/signed-record.js'
import { type EndpointText, type Statement, statementMessage } from './statement.js'

/** The longest value of a member. The longest one that this program writes has half of it. */
export const MAX_VALUE_CHARACTERS = 4_096

/** The most networks of a member without a record. */
const MAX_NETWORKS = 64

const KINDS = Object.keys(ENDPOINT_KIND) as (keyof typeof ENDPOINT_KIND)[]

/**
 * A member's value in etcd, as JSON. With a `record`, all but the endpoints is in the record alone, so that nothing can
 * disagree with it. If the record has a signing key, the member has signed the endpoints (statement.ts). Members of the
 * JSON that are not known are ignored, because a later version may write them.
 */
const valueSchema = z.object({
  version: z.literal(1),
  record: z.string().optional(),
  public_key: z.string().optional(),
  networks: z.array(z.string()).max(MAX_NETWORKS).optional(),
  macs: z.array(z.string()).max(MAX_TOLD_MACS).optional(),
  endpoints: z
    .array(
      z.object({
        address: z.string(),
        port: z.number().int().min(1).max(0xffff),
        kinds: z.array(z.string()).optional(),
      }),
    )
    .max(MAX_TOLD_ENDPOINTS),
  serial: z.number().int().min(0).max(MAX_SERIAL).optional(),
  signature: z.base64().optional(),
})

/** How a host signs its own value. */
export interface Signing {
  readonly serial: number
  readonly sign: (message: Uint8Array) => Uint8Array
}

/** @param signing for a member with a record that has a signing key */
export function formatValue(
  { publicKey, networks, endpoints, macs = [], record }: ToldMember,
  signing?: Signing,
): string {
  const places = endpoints.map(endpointText)
  const said =
    record === undefined
      ? {
          public_key: formatKey(publicKey),
          networks: networks.map((it) => formatPrefix(networkOf(it))),
          ...(macs.length === 0 ? {} : { macs: macs.map((it) => formatMac(it)) }),
        }
      : { record: formatRecord(record) }
  return JSON.stringify({ version: 1, ...said, endpoints: places, ...signed(said.record, places, signing) })
}

function signed(record: string | undefined, places: readonly EndpointText[], signing: Signing | undefined) {
  if (record === undefined || signing === undefined) return {}
  const { serial, sign } = signing
  const signature = sign(statementMessage(record, serial, places))
  return { serial, signature: Buffer.from(signature).toString('base64') }
}

function endpointText({ address, port, kinds = 0 }: ToldEndpoint): EndpointText {
  return {
    address: ipaddr.fromByteArray([...address]).toString(),
    port,
    kinds: KINDS.filter((it) => (ENDPOINT_KIND[it] & kinds) !== 0),
  }
}

/** A value that has the right form. */
export interface ReadValue {
  readonly member: ToldMember
  /** Undefined if the member has signed nothing. */
  readonly statement: Statement | undefined
}

/** Why a value is no member's. */
export interface WrongValue {
  /** `foreign`: it is that of another member. */
  readonly reason: 'malformed' | 'foreign'
  /** The rest of a sentence. */
  readonly why: string
}

/** @param name the last part of its key */
export function parseValue(value: string, name: string): ReadValue | WrongValue {
  const malformed = (why: string): WrongValue => ({ reason: 'malformed', why })
  if (value.length > MAX_VALUE_CHARACTERS)
    return malformed(`has a value of more than ${MAX_VALUE_CHARACTERS} characters`)
  try {
    const parsed = valueSchema.parse(JSON.parse(value))
    const endpoints = parsed.endpoints.map(readEndpoint)
    if (parsed.record === undefined)
      return { member: { name, endpoints, ...readUnsigned(parsed) }, statement: undefined }
    const record = parseRecord(parsed.record)
    if (record.name !== name)
      return { reason: 'foreign', why: `has the signed record of ${JSON.stringify(record.name)}` }
    const { publicKey, networks } = record
    return {
      member: { name, publicKey, networks, endpoints, macs: [], record },
      statement: statementOf(parsed, parsed.record),
    }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError)
      return malformed('has a value that is not one of a member')
    return malformed(`has a value that is not one of a member (${(error as Error).message})`)
  }
}

function statementOf(
  { serial, signature, endpoints }: z.output<typeof valueSchema>,
  record: string,
): Statement | undefined {
  if (serial === undefined || signature === undefined) return undefined
  const message = statementMessage(record, serial, endpoints)
  return { serial, signature: Uint8Array.from(Buffer.from(signature, 'base64')), message }
}

function readUnsigned({ public_key = '', networks = [], macs = [] }: z.output<typeof valueSchema>) {
  return {
    publicKey: Uint8Array.from(parsePublicKey(public_key)),
    networks: networks.map(parsePrefix).map(({ address, prefixLength }) => ({
      address: bytesOfAddress(address),
      prefixLength,
    })),
    macs: macs.map((it) => Uint8Array.from(parseOwnMac(it))),
  }
}

function readEndpoint({ address, port, kinds = [] }: z.output<typeof valueSchema>['endpoints'][number]) {
  if (!ipaddr.isValid(address) || address.includes('%')) throw new RangeError('an endpoint is no address')
  const bits = KINDS.filter((it) => kinds.includes(it)).reduce((sum, it) => sum | ENDPOINT_KIND[it], 0)
  return { address: bytesOfAddress(address), port, kinds: bits }
}
