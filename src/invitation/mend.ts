import { BEGINNING, digitsIn, type Flaw, type Invitation, parseDigits } from './invitation.js'

/**
 * Characters that a person, a mail program or a chat puts into a line, and that say nothing: white space, invisible
 * ones, quotation marks and the like. None is a digit of base64url.
 */
const NOISE = /[\s\u00ad\u200b-\u200f\u2028-\u202e\u2060\ufeff"'`´“”„‘’‚«»‹›<>|*]/gu

/** Other characters that stand for a hyphen. */
const HYPHENS = /[\u2010-\u2013\u2212]/gu

const DIGITS = /^[A-Za-z0-9_-]*/

/**
 * Finds the line of an invitation in a text, and mends what can be mended: line breaks, spaces, quotation marks,
 * quoted-printable (RFC 2045, section 6.7), and hyphens that were made dashes.
 * @returns the invitation, or what is wrong with the one that comes nearest
 */
export function findInvitation(text: string): Invitation | Flaw {
  const plain = fromQuotedPrintable(text)
  let flaw: Flaw = 'none'
  // A dash may have been one hyphen or two. The checksum tells.
  for (const dash of ['-', '--']) {
    const joined = plain
      .replace(/\u2014/gu, '--')
      .replace(/\u2013/gu, dash)
      .replace(HYPHENS, '-')
    const found = firstIn(joined.replace(NOISE, ''))
    if (typeof found !== 'string') return found
    if (flaw === 'none' || found === 'mangled') flaw = found
  }
  return flaw
}

function firstIn(text: string): Invitation | Flaw {
  let flaw: Flaw = 'none'
  const lower = text.toLowerCase()
  for (let at = lower.indexOf(BEGINNING); at >= 0; at = lower.indexOf(BEGINNING, at + 1)) {
    const rest = text.slice(at + BEGINNING.length)
    const digits = DIGITS.exec(rest)?.[0] ?? ''
    const wanted = digitsIn(digits)
    const found = parseDigits(wanted === undefined ? digits : digits.slice(0, wanted))
    if (typeof found !== 'string') return found
    // Something strange in its middle is no end.
    flaw = found === 'cut' && digits.length < rest.length && digits.length > 0 ? 'mangled' : found
  }
  return flaw
}

/** A text that was not quoted so stays as it is, because no line has an equals sign. */
function fromQuotedPrintable(text: string): string {
  return text
    .replace(/=[ \t]*\r?\n/g, '')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
}
