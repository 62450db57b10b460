import { TAG_BYTES } from './wireguard.js'

/**
 * A relayed message: a header for one hop, between a member and an introducer, and behind it a message of WireGuard's
 * (wire/wireguard.ts) between two members, unchanged.
 *
 * The header is laid out as transport data is, with a type of its own: type, receiver's index, counter (64 bits), and
 * sealed with the hop's keys the name of the other end (8 bytes), with its tag. The counter is one of those of the
 * hop's transport data. So no number is used twice with the same keys, and both share one replay window. A packet or a
 * frame is never 8 bytes long, so neither can be taken for the other.
 *
 * The name of an end is 63 bits of a hash of its public key, in two words. The greatest bit of the second word says
 * which way the message goes: from a member to an introducer, the name is whom it is for; from an introducer to a
 * member, whom it is from.
 */
export const RELAY = { type: 0, receiver: 4, counter: 8, name: 16 } as const

/** The content of the header: two words. */
export const RELAY_NAME_BYTES = 8

export const RELAY_HEADER_BYTES = RELAY.name + RELAY_NAME_BYTES + TAG_BYTES

/** The name's bit of a message to an introducer. */
export const TO_INTRODUCER = 0x8000_0000
/** The other bits of the second word. */
export const NAME_MASK = 0x7fff_ffff

/** The name of an end in relayed messages. */
export interface RelayName {
  readonly low: number
  /** 31 bits. */
  readonly high: number
}
