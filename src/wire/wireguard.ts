/**
 * The layout of WireGuard's messages, from its white paper (Jason A. Donenfeld, *WireGuard: Next Generation
 * Kernel Network Tunnel*, section 5.4): field offsets and sizes in bytes; integers are little-endian.
 *
 * Every message begins with one byte of type and three bytes of zero. The four together are one word.
 */

/** Values of the first word. `relay` is not WireGuard's: see wire/relay.ts. */
export const MESSAGE = { initiation: 1, response: 2, cookieReply: 3, transport: 4, relay: 5 } as const

export const PUBLIC_KEY_BYTES = 32
/** Poly1305's tag, after everything that is sealed. */
export const TAG_BYTES = 16
/** mac1 and mac2: keyed BLAKE2s with an output of 16 bytes. */
export const MAC_BYTES = 16
export const COOKIE_BYTES = 16
/** XChaCha20-Poly1305's nonce. */
export const COOKIE_NONCE_BYTES = 24
/** TAI64N: eight bytes of seconds, four of nanoseconds, big-endian. */
export const TIMESTAMP_BYTES = 12

/**
 * Handshake initiation, section 5.4.2: type, sender's index, ephemeral, sealed static, sealed timestamp, macs.
 */
export const INITIATION = {
  type: 0,
  sender: 4,
  ephemeral: 8,
  static: 40,
  timestamp: 88,
  mac1: 116,
  mac2: 132,
  size: 148,
} as const

/**
 * Handshake response, section 5.4.3: type, sender's index, receiver's index, ephemeral, sealed nothing, macs.
 */
export const RESPONSE = {
  type: 0,
  sender: 4,
  receiver: 8,
  ephemeral: 12,
  nothing: 44,
  mac1: 60,
  mac2: 76,
  size: 92,
} as const

/** Cookie reply, section 5.4.7: type, receiver's index, nonce, sealed cookie. */
export const COOKIE_REPLY = { type: 0, receiver: 4, nonce: 8, cookie: 32, size: 64 } as const

/** Transport data, section 5.4.6: type, receiver's index, counter (64 bits), sealed packet. */
export const TRANSPORT = { type: 0, receiver: 4, counter: 8, packet: 16 } as const

/** Bytes before the sealed packet. */
export const TRANSPORT_HEADER_BYTES = TRANSPORT.packet

/** What transport data adds to its packet, without padding. A keepalive has this length. */
export const TRANSPORT_OVERHEAD_BYTES = TRANSPORT_HEADER_BYTES + TAG_BYTES

/** Before sealing, a packet is padded with zeros to a multiple of this, but never beyond the MTU. */
export const PADDING_BYTES = 16

/** Constants of section 6.1. */
export const REKEY_AFTER_TIME_MS = 120_000
export const REJECT_AFTER_TIME_MS = 180_000
export const REKEY_ATTEMPT_TIME_MS = 90_000
export const REKEY_TIMEOUT_MS = 5_000
export const KEEPALIVE_TIMEOUT_MS = 10_000

/** The lifetime of a cookie (section 5.4.7), and of the secret that it is made with. */
export const COOKIE_LIFETIME_MS = 120_000

/**
 * `REJECT_AFTER_MESSAGES`, 2^64 - 2^13 - 1 (section 6.1), as two words. A counter from this value on is never
 * accepted, so that the window of received counters cannot overflow.
 */
export const REJECT_AFTER_COUNTER = { high: 0xffff_ffff, low: 0xffff_dfff } as const

/**
 * Writes the header of transport data, or of another message with the same header, as words at offset `at`, a multiple of 4.
 * @param type the header's first word
 * @param receiver the index of the keys at the other end
 * @param high the upper half of the message's number, and `low` the lower one
 */
export function writeTransportHeader(
  u32: Uint32Array,
  at: number,
  type: number,
  receiver: number,
  high: number,
  low: number,
): void {
  u32[at >>> 2] = type
  u32[(at + TRANSPORT.receiver) >>> 2] = receiver
  u32[(at + TRANSPORT.counter) >>> 2] = low
  u32[(at + TRANSPORT.counter + 4) >>> 2] = high
}
