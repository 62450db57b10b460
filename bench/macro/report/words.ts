import { markdownTable } from 'markdown-table'
import type { Results } from '../results.js'
import type { Summary } from '../statistics.js'
import { subjectOf } from './figures.js'
import type { Chart } from './svg.js'

/** Escapes text from elsewhere (such as a version), so that Markdown shows it unchanged. */
export const plain = (text: string) => text.replaceAll(/[\\`*_[\]<>|]/g, '\\$&')

/** `2.70 – 3.19 Gbit/s`. If both have the same unit, the unit is shown once. */
export function range({ low, high }: Summary, format: (value: number) => string): string {
  const [from, fromUnit] = format(low).split(' ')
  const [to, unit] = format(high).split(' ')
  return fromUnit === unit ? `${from} – ${to} ${unit}` : `${from} ${fromUnit} – ${to} ${unit}`
}

/** A factor: `4.9 ×`. */
export const times = (factor: number) => `${factor.toPrecision(factor >= 10 ? 3 : 2)} ×`

/** A peer's title. */
export const titleOf = ({ peers }: Results, wanted: string) =>
  plain(peers.find(({ name }) => name === wanted)?.title ?? wanted)

/** The title of a peer, in bold if it is the peer that the others are compared with. */
export const emphasised = (results: Results, peer: string) =>
  peer === subjectOf(results) ? `**${titleOf(results, peer)}**` : titleOf(results, peer)

/** A chart, linked by the name of its file. */
export const picture = ({ title, file }: Chart) => `![${title}](${file})`

/** A table. The first row is the head. By default the first column is aligned left and the others right. */
export function table(rows: readonly (readonly string[])[], align?: string[]): string {
  return markdownTable(rows, { align: align ?? ['l', ...rows[0].slice(1).map(() => 'r')] })
}
