import { writeSync } from 'node:fs'
import { emitKeypressEvents } from 'node:readline'
import ansi from 'ansi-escapes'
import type { Key } from './keys.js'
import { type Size, USUAL } from './size.js'

const STDOUT = 1
const OUR_SCREEN = `${ansi.enterAlternativeScreen}${ansi.cursorHide}`
const THEIR_SCREEN = `${ansi.cursorShow}${ansi.exitAlternativeScreen}`

/** Terminals wait so long for what may come after an escape, in milliseconds. */
const ESCAPE_MS = 50

/** Signals that end the program. A terminal that is closed sends SIGHUP. */
const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What a terminal tells. */
export interface TerminalEvents {
  readonly onKey: (key: Key) => void
  readonly onEnd: () => void
  /** The size has changed, or the screen is ours again: it is to be drawn. */
  readonly onDraw: () => void
}

/**
 * The terminal of this process: its other screen, where what was there before stays as it is, and its keys one by one.
 * The terminal is given back by {@link close}, and also if an error is about to end the program.
 */
export class Terminal {
  readonly #events: TerminalEvents
  readonly #onStop = () => this.suspend()
  #isOurs = false

  constructor(events: TerminalEvents) {
    this.#events = events
    emitKeypressEvents(process.stdin, { escapeCodeTimeout: ESCAPE_MS } as never)
    process.stdin.on('keypress', (_, key: Key) => events.onKey(key))
    process.stdin.on('end', events.onEnd)
    process.stdout.on('resize', events.onDraw)
    for (const signal of ENDS) process.on(signal, events.onEnd)
    // A shell that takes the program back to the foreground has set the terminal's modes itself.
    process.on('SIGCONT', () => this.open())
    process.prependListener('uncaughtException', () => this.close())
    process.once('exit', () => this.close())
  }

  get size(): Size {
    const { columns, rows } = process.stdout
    return columns > 0 && rows > 0 ? { columns, rows } : USUAL
  }

  draw(lines: readonly string[]): void {
    if (!this.#isOurs) return
    // Each line is erased first: after its last column, a terminal would erase that column.
    const text = lines.map((line) => `${ansi.eraseLine}${line}`).join('\r\n')
    process.stdout.write(
      `${ansi.beginSynchronizedOutput}${ansi.cursorTo(0, 0)}${text}${ansi.endSynchronizedOutput}`,
    )
  }

  /** Gives the terminal back, and stops this process until a shell continues it. */
  suspend(): void {
    this.close()
    // Without a listener, the signal stops the process.
    process.off('SIGTSTP', this.#onStop)
    process.kill(process.pid, 'SIGTSTP')
  }

  /** Gives the terminal back. It is written at once, because the program may end without another turn. */
  close(): void {
    if (!this.#isOurs) return
    this.#isOurs = false
    try {
      process.stdin.setRawMode(false)
      process.stdin.pause()
      writeSync(STDOUT, THEIR_SCREEN)
    } catch {
      // The terminal itself is gone.
    }
  }

  /** Takes the terminal, and has it drawn. */
  open(): void {
    // The stream believes that the modes are still those that it has set, so it must set others first.
    process.stdin.setRawMode(false)
    process.stdin.setRawMode(true)
    process.stdin.resume()
    writeSync(STDOUT, OUR_SCREEN)
    this.#isOurs = true
    // A process may be continued that was not stopped.
    process.off('SIGTSTP', this.#onStop)
    process.on('SIGTSTP', this.#onStop)
    this.#events.onDraw()
  }
}
