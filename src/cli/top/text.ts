import sliceAnsi from 'slice-ansi'
import stringWidth from 'string-width'

/** A text cut to so many columns of the terminal, with `…` at the end if something is missing. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return ''
  if (stringWidth(text) <= columns) return text
  const kept = sliceAnsi(text, 0, columns - 1)
  // The last sign may be two columns wide.
  return `${stringWidth(kept) < columns ? kept : sliceAnsi(text, 0, columns - 2)}…`
}

/** A text of exactly so many columns: cut, or with spaces on its right or left. */
export function fit(text: string, columns: number, side: 'left' | 'right' = 'left'): string {
  const kept = cut(text, columns)
  const space = ' '.repeat(Math.max(0, columns - stringWidth(kept)))
  return side === 'left' ? `${kept}${space}` : `${space}${kept}`
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const

/**
 * The newest values as bars of one column each, the newest on the right. The highest bar is the greatest of them. Only
 * zero has the lowest bar, and what is not known (NaN) has none.
 */
export function sparkline(values: readonly number[], columns: number): string {
  if (columns <= 0) return ''
  const shown = values.slice(-columns)
  const most = Math.max(0, ...shown.filter((value) => !Number.isNaN(value)))
  const bar = (value: number) => {
    if (Number.isNaN(value)) return ' '
    return BARS[value === 0 ? 0 : Math.max(1, Math.ceil((value / most) * (BARS.length - 1)))]
  }
  return shown.map(bar).join('').padStart(columns)
}

/** A part of a table. */
export interface Column<Row> {
  readonly head: string
  readonly columns: number
  readonly side?: 'left' | 'right'
  readonly text: (row: Row) => string
  /** Colours what is shown, with the spaces around it. */
  readonly paint?: (text: string, row: Row) => string
}

const GAP = '  '

/** How wide a table is. */
export function tableColumns(columns: readonly Column<never>[]): number {
  return columns.reduce((sum, it) => sum + it.columns, GAP.length * Math.max(0, columns.length - 1))
}

export function headLine(columns: readonly Column<never>[]): string {
  return columns.map((it) => fit(it.head, it.columns, it.side)).join(GAP)
}

export function rowLine<Row>(columns: readonly Column<Row>[], row: Row): string {
  return columns
    .map(({ text, side, paint, columns: width }) => {
      const fitted = fit(text(row), width, side)
      return paint === undefined ? fitted : paint(fitted, row)
    })
    .join(GAP)
}
