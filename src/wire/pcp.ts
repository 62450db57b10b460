import ipaddr from 'ipaddr.js'
import { IPPROTO_UDP } from './udp.js'

/**
 * The Port Control Protocol (RFC 6887) and its predecessor NAT-PMP (RFC 6886): a host asks its router for a port outside.
 * Only mappings of UDP are here. All numbers are big-endian, and times are in seconds.
 *
 * A MAP request of PCP has 60 bytes: version 2, opcode 1, zeros (2), lifetime (4), the client's address (16, IPv4 is
 * mapped); nonce (12), protocol (1), zeros (3), internal port (2), suggested external port (2) and address (16). In the
 * response, bit 7 of the opcode is set, the result code is at 3, the epoch time at 8, and the assigned port and address are
 * where the suggested ones were (RFC 6887, 7.1, 7.2 and 11.1).
 *
 * NAT-PMP: version 0, opcode (0: external address; 1: UDP mapping). A mapping request: zeros (2), internal port (2),
 * suggested external port (2), lifetime (4). A response: opcode + 128, result code (2), epoch time (4), then the address
 * (4), or internal port (2), external port (2), lifetime (4) (RFC 6886, 3.2 and 3.3).
 */
const PCP_VERSION = 2
const PMP_VERSION = 0
const MAP = 1
const RESPONSE = 0x80

export const PCP_PORT = 5351
export const NONCE_BYTES = 12
const PCP_BYTES = 60
const PMP_ADDRESS_BYTES = 12
const PMP_MAPPING_BYTES = 16

/** Result codes that are known by name. PCP's are those of RFC 6887, 7.4. */
const UNSUPP_VERSION = 1
const PCP_RESULTS: Readonly<Record<number, string>> = {
  1: 'UNSUPP_VERSION',
  2: 'NOT_AUTHORIZED',
  3: 'MALFORMED_REQUEST',
  4: 'UNSUPP_OPCODE',
  6: 'MALFORMED_OPTION',
  7: 'NETWORK_FAILURE',
  8: 'NO_RESOURCES',
  9: 'UNSUPP_PROTOCOL',
  10: 'USER_EX_QUOTA',
  11: 'CANNOT_PROVIDE_EXTERNAL',
  12: 'ADDRESS_MISMATCH',
}
const PMP_RESULTS: Readonly<Record<number, string>> = {
  1: 'unsupported version',
  2: 'not authorized',
  3: 'network failure',
  4: 'out of resources',
  5: 'unsupported opcode',
}

/** An IPv4 address and a port. */
export interface MappedPort {
  readonly address: string
  readonly port: number
}

export interface MapRequest {
  readonly nonce: Uint8Array
  /** The address and port of this host on the inside. IPv4. */
  readonly client: MappedPort
  /** What is wanted outside; undefined: any. */
  readonly suggested: MappedPort | undefined
  /** 0 removes the mapping. */
  readonly lifetimeS: number
}

/**
 * What a router has answered. `unsupported`: it does not know this version of the protocol. `refused`: with the name of
 * the result.
 */
export type MapAnswer =
  | { readonly kind: 'unsupported' }
  | { readonly kind: 'refused'; readonly why: string; readonly lifetimeS: number }
  | { readonly kind: 'address'; readonly address: string; readonly epochS: number }
  | {
      readonly kind: 'mapped'
      readonly port: number
      /** Undefined in NAT-PMP, which tells it apart. */
      readonly address: string | undefined
      readonly lifetimeS: number
      readonly epochS: number
    }

export function writePcpMap({ nonce, client, suggested, lifetimeS }: MapRequest): Uint8Array {
  const bytes = new Uint8Array(PCP_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, PCP_VERSION)
  view.setUint8(1, MAP)
  view.setUint32(4, lifetimeS)
  bytes.set(mapped(client.address), 8)
  bytes.set(nonce, 24)
  view.setUint8(36, IPPROTO_UDP)
  view.setUint16(40, client.port)
  view.setUint16(42, suggested?.port ?? 0)
  bytes.set(mapped(suggested?.address ?? '0.0.0.0'), 44)
  return bytes
}

export function writePmpAddress(): Uint8Array {
  return Uint8Array.of(PMP_VERSION, 0)
}

export function writePmpMap({ client, suggested, lifetimeS }: MapRequest): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  view.setUint8(1, MAP)
  view.setUint16(4, client.port)
  // To remove a mapping, the external port is 0 (RFC 6886, 3.4).
  view.setUint16(6, lifetimeS === 0 ? 0 : (suggested?.port ?? client.port))
  view.setUint32(8, lifetimeS)
  return bytes
}

/**
 * @param asked the request; what answers another one is none
 * @returns undefined if it is malformed, or no answer to this request
 */
export function readPcp(bytes: Uint8Array, asked: MapRequest): MapAnswer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4) return undefined
  // A server without PCP answers in the version that it knows (RFC 6886, 3.5).
  if (bytes[0] !== PCP_VERSION)
    return bytes[1] >= RESPONSE && view.getUint16(2) === UNSUPP_VERSION ? { kind: 'unsupported' } : undefined
  if (bytes[1] !== (RESPONSE | MAP)) return undefined
  if (bytes.length < 24) return undefined
  const result = bytes[3]
  if (result === UNSUPP_VERSION) return { kind: 'unsupported' }
  if (bytes.length < PCP_BYTES) return undefined
  if (!Buffer.from(bytes.subarray(24, 36)).equals(asked.nonce)) return undefined
  if (bytes[36] !== IPPROTO_UDP || view.getUint16(40) !== asked.client.port) return undefined
  const lifetimeS = view.getUint32(4)
  if (result !== 0) return { kind: 'refused', why: PCP_RESULTS[result] ?? `result ${result}`, lifetimeS }
  const address = addressIn(bytes.subarray(44, 60))
  return { kind: 'mapped', port: view.getUint16(42), address, lifetimeS, epochS: view.getUint32(8) }
}

/** The same of NAT-PMP. */
export function readPmp(bytes: Uint8Array, { client }: MapRequest): MapAnswer | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 8 || bytes[0] !== PMP_VERSION || bytes[1] < RESPONSE) return undefined
  const opcode = bytes[1] - RESPONSE
  if (opcode > MAP) return undefined
  const result = view.getUint16(2)
  if (result !== 0) return { kind: 'refused', why: PMP_RESULTS[result] ?? `result ${result}`, lifetimeS: 0 }
  const epochS = view.getUint32(4)
  if (opcode === 0 && bytes.length >= PMP_ADDRESS_BYTES)
    return { kind: 'address', address: [...bytes.subarray(8, 12)].join('.'), epochS }
  if (opcode !== MAP || bytes.length < PMP_MAPPING_BYTES || view.getUint16(8) !== client.port)
    return undefined
  return {
    kind: 'mapped',
    port: view.getUint16(10),
    address: undefined,
    lifetimeS: view.getUint32(12),
    epochS,
  }
}

function mapped(address: string): number[] {
  const parsed = ipaddr.parse(address)
  return parsed.kind() === 'ipv4'
    ? (parsed as ipaddr.IPv4).toIPv4MappedAddress().toByteArray()
    : parsed.toByteArray()
}

function addressIn(bytes: Uint8Array): string {
  return ipaddr.process(ipaddr.fromByteArray([...bytes]).toString()).toString()
}
