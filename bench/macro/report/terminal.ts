import pc from 'picocolors'
import { table } from '../../../src/cli/table.js'
import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { figuresOf, subjectOf, undecided, unsteady, warnings } from './figures.js'

/** The medians as tables, one for each underlay, and what to beware of. */
export function terminalReport(results: Results): string {
  const subject = subjectOf(results)
  const tables = results.underlays.map((underlay) => {
    const rows = results.loads.map((load) => {
      const figures = figuresOf(results, underlay.name, load.name, load.metric)
      return [
        load.title,
        ...results.peers.map(({ name }) => {
          const found = figures.find(({ peer }) => peer === name)
          if (found === undefined) return ''
          const doubt = undecided(found) ? pc.yellow('?') : unsteady(found) ? pc.yellow('~') : ' '
          const text = `${METRICS[load.metric].format(found.value.median)}${doubt}`
          return name === subject ? pc.bold(text) : text
        }),
      ]
    })
    return `${pc.bold(underlay.title)}\n${table([['', ...results.peers.map(({ title }) => title)], ...rows])}`
  })
  const cautions = [
    ...warnings(results),
    ...results.skipped.map(({ title, reason }) => `${title} took no part: ${reason}.`),
    ...(results.failures.length > 0
      ? [`${results.failures.length} measurements failed; see the report.`]
      : []),
  ]
  return [...tables, cautions.map((line) => `${pc.yellow('!')} ${line}`).join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
}
