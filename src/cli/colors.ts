import { isatty } from 'node:tty'
import pc from 'picocolors'

/**
 * Whether a stream gets colours: only a terminal does. NO_COLOR (no-color.org) takes them away and FORCE_COLOR puts
 * them on, as in Node.js itself. The variable CI changes nothing, because what goes into a pipe there is read by
 * programs, too.
 *
 * @param terminal whether the stream is a terminal
 * @param env the process's environment
 */
export function wantsColors(terminal: boolean, env: NodeJS.ProcessEnv): boolean {
  const { NO_COLOR = '', FORCE_COLOR, TERM } = env
  if (NO_COLOR !== '') return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  return terminal && TERM !== 'dumb'
}

const colorsOf = (fd: number) => pc.createColors(wantsColors(isatty(fd), process.env))

/** Colours of what goes to standard output. */
export const stdoutColors = colorsOf(1)

/** Colours of what goes to standard error. */
export const stderrColors = colorsOf(2)
