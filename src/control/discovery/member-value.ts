import ipaddr from 'ipaddr.js'
import * as z from 'zod'
import { formatRecord, parseRecord } from '../../config/record-text.js'
import { bytesOfAddress, networkOf } from '../../config/told-networks.js'
import { formatPrefix, parseOwnMac, parsePrefix, parsePublicKey } from '../../config/values.js'
import { formatKey } from '../../key-text.js'
import { formatMac } from '../../wire/ethernet.js'
import {
  ENDPOINT_KIND,
  MAX_TOLD_ENDPOINTS,
  MAX_TOLD_MACS,
  type ToldEndpoint,
  type ToldMember,
} from '../../wire/introduction.js'

/** The longest value of a member. The longest one that this program writes has half of it. */
export const MAX_VALUE_CHARACTERS = 4_096

/** The most networks of a member without a record. */
const MAX_NETWORKS = 64

const KINDS = Object.keys(ENDPOINT_KIND) as (keyof typeof ENDPOINT_KIND)[]

/**
 * A member's value in etcd, as JSON. With a `record`, all but the endpoints is in the record alone, so that nothing can
 * disagree with it. Members that are not known are ignored, because a later version may write them.
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
})

export function formatValue({ publicKey, networks, endpoints, macs = [], record }: ToldMember): string {
  const said =
    record === undefined
      ? {
          public_key: formatKey(publicKey),
          networks: networks.map((it) => formatPrefix(networkOf(it))),
          ...(macs.length === 0 ? {} : { macs: macs.map((it) => formatMac(it)) }),
        }
      : { record: formatRecord(record) }
  return JSON.stringify({ version: 1, ...said, endpoints: endpoints.map(endpointText) })
}

function endpointText({ address, port, kinds = 0 }: ToldEndpoint) {
  return {
    address: ipaddr.fromByteArray([...address]).toString(),
    port,
    kinds: KINDS.filter((it) => (ENDPOINT_KIND[it] & kinds) !== 0),
  }
}

/**
 * @param name the last part of its key
 * @returns the member, or why it is none: the rest of a sentence
 */
export function parseValue(value: string, name: string): ToldMember | string {
  if (value.length > MAX_VALUE_CHARACTERS)
    return `has a value of more than ${MAX_VALUE_CHARACTERS} characters`
  try {
    const parsed = valueSchema.parse(JSON.parse(value))
    const endpoints = parsed.endpoints.map(readEndpoint)
    if (parsed.record === undefined) return { name, endpoints, ...readUnsigned(parsed) }
    const record = parseRecord(parsed.record)
    if (record.name !== name) return `has the signed record of ${JSON.stringify(record.name)}`
    return { name, publicKey: record.publicKey, networks: record.networks, endpoints, macs: [], record }
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError)
      return 'has a value that is not one of a member'
    return `has a value that is not one of a member (${(error as Error).message})`
  }
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
