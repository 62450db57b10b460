import Table from 'cli-table3'
import { stdoutColors } from './colors.js'

/** Between two columns of a table. */
export const GAP_COLUMNS = 2

/**
 * A table without borders. The first row is the head.
 * @param texts the columns that are aligned left. The others are aligned right
 */
export function table(rows: readonly (readonly string[])[], texts: readonly number[] = [0]): string {
  const [head, ...body] = rows
  const none = Object.fromEntries(
    [
      'top',
      'top-mid',
      'top-left',
      'top-right',
      'bottom',
      'bottom-mid',
      'bottom-left',
      'bottom-right',
      'left',
      'left-mid',
      'mid',
      'mid-mid',
      'right',
      'right-mid',
    ].map((part) => [part, '']),
  )
  const out = new Table({
    head: head.map((cell) => stdoutColors.dim(cell)),
    chars: { ...none, middle: ' '.repeat(GAP_COLUMNS) },
    colAligns: head.map((_, column) => (texts.includes(column) ? 'left' : 'right')),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  })
  for (const row of body) out.push([...row])
  return out.toString()
}

const UNITS = ['', 'k', 'M', 'G', 'T'] as const

/** A number of at most five characters with an SI prefix: `1.23 G`. */
export function si(value: number, unit: string): string {
  let scaled = value
  let prefix = 0
  while (scaled >= 999.5 && prefix < UNITS.length - 1) {
    scaled /= 1000
    prefix++
  }
  const digits = prefix === 0 || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
  return `${scaled.toFixed(digits)} ${UNITS[prefix]}${unit}`.trimEnd()
}

/** `42 s`, `3 min 20 s`, `5 h 3 min`, `2 d 4 h`. */
export function duration(seconds: number): string {
  const s = Math.floor(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`
}

/** A time of at most four digits: `0.412`, `4.12`, `41.2`, `412`. */
export function milliseconds(ms: number): string {
  const digits = ms < 0.9995 ? 3 : ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0
  return ms.toFixed(digits)
}
