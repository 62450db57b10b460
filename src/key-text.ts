/**
 * A key is 32 bytes; in base64 it is 43 digits and one padding character. The last digit holds two zero bits.
 */
const KEY_BYTES = 32
const TEXT_BYTES = 44
const DIGITS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const PADDING = 0x3d
const NEWLINE = 0x0a

/** The value of each byte that is a base64 digit; -1 for any other byte. */
const VALUES = Int8Array.from({ length: 256 }, (_, byte) => DIGITS.indexOf(byte))

/**
 * Memory for a secret, outside of V8's heap, where the garbage collector would move it and leave copies. It is
 * also outside of the pool that Node.js takes short buffers from.
 */
export function secretBytes(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes))
}

/**
 * The bytes of a key as `wg` writes it; undefined for any other text. For a private key, pass the bytes of the
 * text, because a string cannot be wiped.
 */
export function parseKey(text: string | Uint8Array): Buffer | undefined {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text
  if (bytes.length !== TEXT_BYTES || bytes[TEXT_BYTES - 1] !== PADDING) return undefined
  const key = secretBytes(KEY_BYTES)
  let bits = 0
  let value = 0
  let length = 0
  for (let at = 0; at < TEXT_BYTES - 1; at++) {
    const digit = VALUES[bytes[at]]
    if (digit < 0) {
      key.fill(0)
      return undefined
    }
    value = ((value << 6) | digit) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    key[length++] = value >>> bits
  }
  // Two bits are left over.
  if ((value & 3) === 0) return key
  key.fill(0)
  return undefined
}

export function formatKey(key: Uint8Array): string {
  return Buffer.from(key).toString('base64')
}

const texts = new WeakMap<Uint8Array, string>()

/** A public key that stays as it is, in base64. It is remembered, because the same keys are asked for again and again. */
export function publicKeyText(key: Uint8Array): string {
  const known = texts.get(key)
  if (known !== undefined) return known
  const text = formatKey(key)
  texts.set(key, text)
  return text
}

/** A line with a private key. The caller must wipe it. */
export function secretKeyLine(key: Uint8Array): Buffer {
  const line = secretBytes(TEXT_BYTES + 1)
  for (let at = 0; at < TEXT_BYTES - 1; at++) {
    const bit = at * 6
    const byte = bit >>> 3
    const two = (key[byte] << 8) | (key[byte + 1] ?? 0)
    line[at] = DIGITS[(two >>> (10 - (bit & 7))) & 0x3f]
  }
  line[TEXT_BYTES - 1] = PADDING
  line[TEXT_BYTES] = NEWLINE
  return line
}

const HEX_DIGITS = Buffer.from('0123456789abcdef')

/** The length of a key in hex. */
export const HEX_KEY_BYTES = 2 * KEY_BYTES

/** The bytes of a key in hex, in capital or small letters; undefined for any other text. */
export function parseHexKey(text: Uint8Array): Buffer | undefined {
  if (text.length !== HEX_KEY_BYTES) return undefined
  const key = secretBytes(KEY_BYTES)
  for (let at = 0; at < KEY_BYTES; at++) {
    const [high, low] = [hexValue(text[2 * at]), hexValue(text[2 * at + 1])]
    if (high < 0 || low < 0) {
      key.fill(0)
      return undefined
    }
    key[at] = (high << 4) | low
  }
  return key
}

/** Writes a key in hex, {@link HEX_KEY_BYTES} long. The key never becomes a string. */
export function writeHexKey(key: Uint8Array, into: Uint8Array, at: number): void {
  for (let byte = 0; byte < KEY_BYTES; byte++) {
    into[at + 2 * byte] = HEX_DIGITS[key[byte] >>> 4]
    into[at + 2 * byte + 1] = HEX_DIGITS[key[byte] & 0xf]
  }
}

/** The value of a hexadecimal digit; -1 for any other byte. */
function hexValue(digit: number): number {
  const letter = digit | 0x20
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Replaces a key in a message. */
const HIDDEN = '(a key)'

/** A shorter run of digits is no key, not even one that lacks a few digits. */
const LEAST_BASE64 = 32
const LEAST_HEX = 40

const BASE64_RUN = new RegExp(`[A-Za-z0-9+/]{${LEAST_BASE64},}={0,2}`, 'g')
const HEX_RUN = new RegExp(`[0-9A-Fa-f]{${LEAST_HEX},}`, 'g')

/**
 * `text` for a person to see, with everything hidden that looks like a key. That includes a key that is
 * mistyped, in hex, joined to other text, or in quotes with white space inside. Other text that looks like a
 * key is hidden, too.
 */
export function withoutKeys(text: string): string {
  return withoutKeyRuns(
    text.replace(/"[^"]*"/g, (quoted) =>
      hasKey(quoted.replace(/\s|\\[nrt]/g, '')) ? `"${HIDDEN}"` : quoted,
    ),
  )
}

/** The same for a text with JSON's quotes: white space ends what may be a key. */
export function withoutKeyRuns(text: string): string {
  return text.replace(BASE64_RUN, (run) => (isRandom(run) ? HIDDEN : run)).replace(HEX_RUN, HIDDEN)
}

/** Whether `text` may contain a key. It must have both capital and small letters. */
export function looksLikeKey(text: string): boolean {
  return /[a-z]/.test(text) && /[A-Z]/.test(text) && hasKey(text.replace(/\s/g, ''))
}

function hasKey(text: string): boolean {
  return (text.match(BASE64_RUN) ?? []).some(isRandom) || (text.match(HEX_RUN) ?? []).length > 0
}

/**
 * Whether some part of `run` has digits more mixed than in any name or path. There are three kinds of digits:
 * capitals, small letters and figures. In random digits, six of ten differ in kind from the one before, and six
 * of ten are not small letters. Padding at the end is enough.
 */
function isRandom(run: string): boolean {
  if (run.endsWith('=')) return true
  const kinds = [...run].map(kindOf).filter((kind) => kind !== undefined)
  const window = Math.min(kinds.length, LEAST_BASE64)
  for (let start = 0; start + window <= kinds.length; start++) {
    const part = kinds.slice(start, start + window)
    const changes = part.filter((kind, at) => at > 0 && kind !== part[at - 1]).length
    const notSmall = part.filter((kind) => kind !== 'small').length
    if (Math.min(changes, notSmall) * 4 >= window) return true
  }
  return false
}

/** The two signs have no kind: a slash is in every path. */
function kindOf(digit: string): 'capital' | 'small' | 'figure' | undefined {
  if (digit >= 'a' && digit <= 'z') return 'small'
  if (digit >= 'A' && digit <= 'Z') return 'capital'
  return digit >= '0' && digit <= '9' ? 'figure' : undefined
}
