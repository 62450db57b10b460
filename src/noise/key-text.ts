/** Keys are 32 bytes, in base64 of 44 characters; the last of the 43 that count holds two zero bits. */
const KEY_TEXT = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/

/** The bytes of a key as `wg` writes it; undefined for any other text. */
export function parseKey(text: string): Buffer | undefined {
  return KEY_TEXT.test(text) ? Buffer.from(text, 'base64') : undefined
}

/** `text` as a message may show it: what has the looks of a key, a mistyped one too, may be a private one. */
export function withoutKey(text: string): string {
  return /^[A-Za-z0-9+/]{38,50}={0,2}$/.test(text.trim()) ? '(a key)' : text
}

export function formatKey(key: Uint8Array): string {
  return Buffer.from(key).toString('base64')
}
