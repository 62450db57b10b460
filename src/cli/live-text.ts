import { createLogUpdate } from 'log-update'
import { beginningOf } from './beginning.js'
import { USUAL } from './top/size.js'

/** Draws texts on the terminal of standard output, each over the one before. */
export interface LiveText {
  /** Whether each is below the one before, because the terminal cannot do more. Then fewer texts are better. */
  readonly isPlain: boolean
  /** Draws the end of a text that does not fit. */
  draw(text: string): void
  /** Draws the beginning of a text that does not fit, and says how much is missing. */
  drawBeginning(text: string): void
  /** What is written then comes below the last text. */
  leave(): void
}

/** Such as a shell in Emacs: it shows what would place the cursor. */
const PLAIN: LiveText = { isPlain: true, draw: print, drawBeginning: print, leave() {} }

function print(text: string): void {
  process.stdout.write(`${text.trim()}\n\n`)
}

/**
 * The cursor stays visible: a person may stop the program by Ctrl-Z at any time, and then the shell needs it.
 * A serial console reports a size of zero. On zero rows nothing would be shown, so it is given the usual size.
 */
export function liveText(): LiveText {
  if (process.env.TERM === 'dumb') return PLAIN
  const { stdout } = process
  if (!(stdout.columns > 0 && stdout.rows > 0)) Object.assign(stdout, USUAL)
  const screen = createLogUpdate(stdout, { showCursor: true })
  // Meanwhile the shell has written below the last text.
  process.on('SIGCONT', () => screen.done())
  return {
    isPlain: false,
    draw: (text) => screen(text),
    drawBeginning: (text) => screen(beginningOf(text, stdout)),
    leave: () => screen.done(),
  }
}
