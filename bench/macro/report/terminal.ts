import { stdoutColors } from '../../../src/cli/colors.js'
import { table } from '../../../src/cli/table.js'
import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import {
  type Figure,
  figuresOf,
  reservations,
  spreadWarnings,
  subjectOf,
  undecided,
  unsteady,
} from './figures.js'

/** The medians as tables, one per underlay: a row for each peer, a column for each load. */
export function terminalReport(results: Results): string {
  const subject = subjectOf(results)
  const head = ['', ...results.loads.map(({ name }) => name)]
  const tables = results.underlays.map((underlay) => {
    const columns = results.loads.map((load) => figuresOf(results, underlay.name, load.name, load.metric))
    const rows = results.peers.map(({ name, title }) => {
      const strong = name === subject ? stdoutColors.bold : (text: string) => text
      return [strong(title), ...columns.map((figures) => cell(figures, name, strong))]
    })
    return `${stdoutColors.bold(underlay.title)}\n${table([head, ...rows])}`
  })
  const notes = [
    ...reservations(results),
    ...(spreadWarnings(results).length > 0
      ? [
          `${UNDECIDED} the rounds do not agree which is ahead, ${UNSTEADY} they lie far apart; the report has more.`,
        ]
      : []),
    ...(results.failures.length > 0
      ? [`${results.failures.length} measurements failed; the report has which.`]
      : []),
  ]
  return [...tables, notes.map((note) => `${stdoutColors.yellow('!')} ${note}`).join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
}

const UNDECIDED = stdoutColors.yellow('?')
const UNSTEADY = stdoutColors.yellow('~')

function cell(figures: readonly Figure[], peer: string, strong: (text: string) => string): string {
  const found = figures.find((figure) => figure.peer === peer)
  if (found === undefined) return ''
  const doubt = undecided(found) ? UNDECIDED : unsteady(found) ? UNSTEADY : ' '
  return `${strong(METRICS[found.metric].format(found.value.median))}${doubt}`
}
