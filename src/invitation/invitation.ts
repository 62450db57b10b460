import { createHash } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import { addressBits, isAddress, type Network, type Remote } from '../config/addresses.js'
import type { DeviceMode } from '../wire/mode.js'
import { PUBLIC_KEY_BYTES } from '../wire/wireguard.js'

/** What the line of an invitation says: all that a newcomer must know to come to the introducer, once. */
export interface Invitation {
  readonly mode: DeviceMode
  /** Names of the network, of the newcomer and of the introducer; ASCII without spaces. */
  readonly network: string
  readonly name: string
  readonly introducer: string
  readonly publicKey: Uint8Array
  /** The private key that the newcomer has until it has told its own public key. */
  readonly privateKey: Uint8Array
  readonly presharedKey: Uint8Array
  /** Until when it is good, in whole seconds since 1970. */
  readonly untilS: number
  /** Where the introducer may be. */
  readonly endpoints: readonly Remote[]
  /** The newcomer's addresses, each in its network. */
  readonly addresses: readonly Network[]
}

/** What is wrong with a line. `none`: there is none. `version`: another form than this program knows. */
export type Flaw = 'none' | 'cut' | 'mangled' | 'version'

/** How a line begins. The rest is base64url (RFC 4648, section 5) without padding. */
export const BEGINNING = 'udptun.'

/**
 * The bytes of a line, big-endian: version (1), length of all (2), mode (1), until (4), the introducer's public key
 * (32), private key (32), preshared key (32); three texts, each a length (1) and ASCII: network, newcomer,
 * introducer; endpoints: their number (1), and of each: bytes of the address (1: 4 or 16; or 0, and then a text
 * follows), the address, port (2); addresses: their number (1), and of each: bytes (1), prefix length (1), the
 * address; checksum (4): the beginning of SHA-256 over all before.
 */
const VERSION = 1
const LENGTH_AT = 1
const HEAD_BYTES = 3
const CHECKSUM_BYTES = 4
const MODES = ['tap', 'tun'] as const
const TEXT = /^[!-~]{1,63}$/
/** A name in DNS has up to 253 characters, and may end with a dot. */
const HOST = /^[!-~]{1,254}$/

export function formatInvitation(invitation: Invitation): string {
  const { mode, network, name, introducer, publicKey, privateKey, presharedKey, untilS } = invitation
  const until = Buffer.alloc(4)
  until.writeUInt32BE(untilS)
  const body = Buffer.concat([
    Buffer.from([VERSION, 0, 0, MODES.indexOf(mode)]),
    until,
    publicKey,
    privateKey,
    presharedKey,
    ...[network, name, introducer].map(textBytes),
    Buffer.from([invitation.endpoints.length]),
    ...invitation.endpoints.map(endpointBytes),
    Buffer.from([invitation.addresses.length]),
    ...invitation.addresses.map(networkBytes),
  ])
  body.writeUInt16BE(body.length + CHECKSUM_BYTES, LENGTH_AT)
  const line = `${BEGINNING}${Buffer.concat([body, checksumOf(body)]).toString('base64url')}`
  body.fill(0)
  return line
}

/**
 * Reads the characters after {@link BEGINNING}. What follows the invitation is ignored.
 * @param digits only base64url's
 */
export function parseDigits(digits: string): Invitation | Flaw {
  const bytes = Buffer.from(digits, 'base64url')
  if (bytes.length > 0 && bytes[0] !== VERSION) return 'version'
  if (bytes.length < HEAD_BYTES) return 'cut'
  const length = bytes.readUInt16BE(LENGTH_AT)
  if (bytes.length < length) return 'cut'
  const body = bytes.subarray(0, Math.max(0, length - CHECKSUM_BYTES))
  if (!checksumOf(body).equals(bytes.subarray(body.length, length))) return 'mangled'
  return read(body) ?? 'mangled'
}

/** How many characters a line has after its beginning, by its first four; undefined if they do not say so. */
export function digitsIn(first: string): number | undefined {
  const bytes = Buffer.from(first.slice(0, 4), 'base64url')
  return bytes.length < HEAD_BYTES ? undefined : Math.ceil((bytes.readUInt16BE(LENGTH_AT) * 4) / 3)
}

function checksumOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, CHECKSUM_BYTES)
}

function textBytes(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')])
}

function endpointBytes({ host, port }: Remote): Buffer {
  const address = isAddress(host) ? ipaddr.parse(host).toByteArray() : undefined
  const place =
    address === undefined
      ? Buffer.concat([Buffer.from([0]), textBytes(host)])
      : Buffer.from([address.length, ...address])
  return Buffer.concat([place, Buffer.from([port >>> 8, port & 0xff])])
}

export function networkBytes({ address, prefixLength }: Network): Buffer {
  const bytes = ipaddr.parse(address).toByteArray()
  return Buffer.from([bytes.length, prefixLength, ...bytes])
}

/** Takes fields one after the other. @throws RangeError if there is not enough, or if it makes no sense */
export class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  take(count: number): Buffer {
    const found = this.#bytes.subarray(this.#at, this.#at + count)
    if (found.length < count) throw new RangeError('there is not enough')
    this.#at += count
    return found
  }

  /** A copy of its own, because what it is taken from is wiped. */
  key(): Uint8Array {
    return Uint8Array.from(this.take(PUBLIC_KEY_BYTES))
  }

  byte(): number {
    return this.take(1)[0]
  }

  text(pattern = TEXT): string {
    const text = this.take(this.byte()).toString('latin1')
    if (!pattern.test(text)) throw new RangeError('this is no name')
    return text
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: this.byte() }, item)
  }

  address(bytes: number): string {
    if (bytes !== 4 && bytes !== 16) throw new RangeError('this is no address')
    return ipaddr.fromByteArray([...this.take(bytes)]).toString()
  }

  /** At least one, and each with a port: a newcomer has no other way to the introducer. */
  endpoints(): Remote[] {
    const all = this.list(() => {
      const bytes = this.byte()
      const host = bytes === 0 ? this.text(HOST) : this.address(bytes)
      return { host, port: this.take(2).readUInt16BE() }
    })
    if (all.length === 0 || all.some(({ port }) => port === 0)) throw new RangeError('nobody is found there')
    return all
  }

  network(): Network {
    const [bytes, prefixLength] = [this.byte(), this.byte()]
    const address = this.address(bytes)
    if (prefixLength > addressBits(ipaddr.parse(address).kind())) throw new RangeError('this is no prefix')
    return { address, prefixLength }
  }
}

function read(body: Buffer): Invitation | undefined {
  try {
    const fields = new Fields(body)
    fields.take(HEAD_BYTES)
    const mode = MODES[fields.byte()]
    if (mode === undefined) return undefined
    return {
      mode,
      untilS: fields.take(4).readUInt32BE(),
      publicKey: fields.key(),
      privateKey: fields.key(),
      presharedKey: fields.key(),
      network: fields.text(),
      name: fields.text(),
      introducer: fields.text(),
      endpoints: fields.endpoints(),
      addresses: fields.list(() => fields.network()),
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
