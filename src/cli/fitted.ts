import stringWidth from 'string-width'
import wrapAnsi from 'wrap-ansi'
import { stdoutColors } from './colors.js'
import { GAP_COLUMNS, table } from './table.js'

/** Columns of the terminal; without end if there is none, or if it does not say (a serial console). */
export function terminalColumns(): number {
  const { columns } = process.stdout
  return columns > 0 ? columns : Number.POSITIVE_INFINITY
}

/** A column may be left out if nothing else helps. */
export interface Fitting {
  readonly columns: number
  /** The heads of the columns that may be left out, the first one first. */
  readonly least: readonly string[]
}

/** A table that fits into the terminal. A line below it says which columns were left out. @param rows the first is the head */
export function fittedTable(rows: readonly (readonly string[])[], { columns, least }: Fitting): string {
  const [head] = rows
  const widths = widthsOf(rows)
  const kept = new Set(head.keys())
  const width = () => [...kept].reduce((sum, at) => sum + widths[at] + GAP_COLUMNS, -GAP_COLUMNS)
  const left: string[] = []
  const isEmpty = (at: number) => rows.slice(1).every((row) => row[at] === '')
  // Nothing is missed of an empty one.
  const order = [...least.filter((name) => isEmpty(head.indexOf(name))), ...least]
  for (const name of order) {
    const at = head.indexOf(name)
    if (width() <= columns) break
    if (kept.delete(at) && !isEmpty(at)) left.push(name)
  }
  const text = table(rows.map((row) => row.filter((_, at) => kept.has(at))))
  const note = `not shown in ${columns} columns: ${left.join(', ')}; --json has all`
  return left.length === 0 ? text : `${text}\n${stdoutColors.dim(wrapped(note, columns))}`
}

/** How wide each column of a table is. */
function widthsOf(rows: readonly (readonly string[])[]): number[] {
  return rows[0].map((_, at) => Math.max(...rows.map((row) => stringWidth(row[at]))))
}

/** A text of fewer would be mostly line ends. */
const LEAST_TEXT_COLUMNS = 20

/** A table whose last column is a text. It has as many lines as it needs. @param rows the first is the head */
export function tableWithText(rows: readonly (readonly string[])[], columns: number): string {
  const last = rows[0].length - 1
  const before = widthsOf(rows)
    .slice(0, last)
    .reduce((sum, width) => sum + width + GAP_COLUMNS, 0)
  const left = Math.max(LEAST_TEXT_COLUMNS, columns - before)
  const cells = rows.map((row) => [...row.slice(0, last), wrapped(row[last], left)])
  return table(cells, [0, last])
}

/** A text in lines that fit into the terminal. Those that continue one are set in by two columns. */
export function wrapped(text: string, columns: number): string {
  if (columns === Number.POSITIVE_INFINITY) return text
  return text
    .split('\n')
    .map((line) =>
      stringWidth(line) <= columns
        ? line
        : wrapAnsi(line, Math.max(10, columns - 2), { hard: true }).replaceAll('\n', '\n  '),
    )
    .join('\n')
}
