import { usageError } from '../errors.js'
import type { Flaw, Invitation } from '../invitation/invitation.js'
import { findInvitation } from '../invitation/mend.js'

/** Longer than any mail with an invitation. */
export const MAX_CHARACTERS = 256 * 1024

/** What is wrong with the line, and what to do. */
export const FLAWS: Readonly<Record<Flaw, string>> = {
  none: 'there is no invitation in what was given; it is one line that begins with udptun. and that udptun-fast invite has printed',
  cut: 'the line of this invitation is cut: its end is missing; copy all of it, or ask for another one',
  mangled:
    'the line of this invitation has been changed on the way, such as by a mail program; send it again as plain text or as a file',
  version: 'this invitation was made by another version of udptun-fast; bring both hosts to the same one',
}

/** @throws UserError (exit code 2) with what is wrong */
export function invitationIn(text: string): Invitation {
  const found = findInvitation(text)
  if (typeof found === 'string') throw usageError(FLAWS[found])
  return found
}
