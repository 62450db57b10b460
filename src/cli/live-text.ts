import { createLogUpdate } from 'log-update'

/** For a terminal that does not say how large it is. */
const USUAL = { columns: 80, rows: 24 }

/** Draws texts on the terminal of standard output, each over the one before. */
export interface LiveText {
  draw(text: string): void
  /** What is written then comes below the last text. */
  leave(): void
}

/**
 * The cursor stays visible: a person may stop the program by Ctrl-Z at any time, and then the shell needs it.
 * A serial console reports a size of zero. On zero rows nothing would be shown, so it is given the usual size.
 */
export function liveText(): LiveText {
  const { stdout } = process
  if (!(stdout.columns > 0 && stdout.rows > 0)) Object.assign(stdout, USUAL)
  const screen = createLogUpdate(stdout, { showCursor: true })
  // Meanwhile the shell has written below the last text.
  process.on('SIGCONT', () => screen.done())
  return { draw: (text) => screen(text), leave: () => screen.done() }
}
