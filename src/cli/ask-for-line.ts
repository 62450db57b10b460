import type { Readable } from 'node:stream'
import { findInvitation } from '../invitation/mend.js'
import { stderrColors } from './colors.js'
import { FLAWS, MAX_CHARACTERS } from './invitation-in.js'

/** A terminal gives what is pasted line by line, each a moment after the other. A mail program may have wrapped the line. */
const PAUSE_MS = 1_000

const QUESTION = 'The line of the invitation: '
const AGAIN = 'The line of the invitation (Ctrl-D ends): '

/**
 * Asks a person at a terminal for the line of an invitation. Such a person does not end the input. So after each pause
 * it is said what is wrong so far, and the rest or another line may follow.
 * @returns all that was typed; there is an invitation in it, or the person has ended the input
 */
export async function askForLine(
  terminal: Readable,
  say: (text: string) => void,
  pauseMs = PAUSE_MS,
): Promise<string> {
  let all = ''
  /** What nothing has been said about yet. */
  let fresh = ''
  let pause: NodeJS.Timeout | undefined
  const complain = () => {
    const found = findInvitation(fresh)
    fresh = ''
    if (typeof found === 'string') say(`${stderrColors.yellow('udptun-fast:')} ${FLAWS[found]}\n${AGAIN}`)
  }
  say(QUESTION)
  try {
    for await (const chunk of terminal.setEncoding('utf8')) {
      clearTimeout(pause)
      all += chunk
      fresh += chunk
      if (typeof findInvitation(all) !== 'string' || all.length > MAX_CHARACTERS) return all
      pause = setTimeout(complain, pauseMs)
    }
  } finally {
    clearTimeout(pause)
  }
  say('\n')
  return all
}
