import wrapAnsi from 'wrap-ansi'
import type { Size } from './top/size.js'

/**
 * The beginning of a text, if it is longer than a terminal has lines. The last line says how much is missing.
 * @param rows all lines of the terminal; the cursor needs one of them
 */
export function beginningOf(text: string, { columns, rows }: Size): string {
  // The terminal would wrap longer lines just so.
  const lines = wrapAnsi(text, columns, { trim: false, hard: true, wordWrap: false }).split('\n')
  const room = Math.max(1, rows - 1)
  if (lines.length <= room) return text
  const shown = lines.slice(0, room - 1)
  const note = `… ${lines.length - shown.length} more lines (all without --watch)`
  return [...shown, note.slice(0, columns)].join('\n')
}
