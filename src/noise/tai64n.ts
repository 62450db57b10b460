import { TIMESTAMP_BYTES } from '../wire/wireguard.js'

/** The TAI64 label of 1970-01-01 00:00:00 UTC: 2^62, plus the ten seconds that TAI was ahead. */
const EPOCH_HIGH = 0x4000_0000
const EPOCH_LOW_S = 10

/**
 * A timestamp for handshakes (TAI64N). Later times are greater when compared byte by byte. Nanoseconds are
 * rounded down to a multiple of 2^24 (17 ms), so that nobody can read this host's clock exactly.
 * @param unixMs milliseconds since 1970; may have a fraction
 */
export function tai64n(unixMs: number): Buffer {
  const seconds = Math.floor(unixMs / 1000) + EPOCH_LOW_S
  const nanoseconds = Math.floor((unixMs - Math.floor(unixMs / 1000) * 1000) * 1e6)
  const label = Buffer.alloc(TIMESTAMP_BYTES)
  label.writeUInt32BE(EPOCH_HIGH + Math.floor(seconds / 2 ** 32), 0)
  label.writeUInt32BE(seconds >>> 0, 4)
  label.writeUInt32BE((nanoseconds & ~0xff_ffff) >>> 0, 8)
  return label
}
