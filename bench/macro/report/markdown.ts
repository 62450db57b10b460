import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { figuresOf, reservations, spreadWarnings, subjectOf, undecided } from './figures.js'
import { loadSection } from './load-section.js'
import { machineSection, methodSection } from './method-section.js'
import type { Chart } from './svg.js'
import { emphasised, picture, plain, table, times, titleOf } from './words.js'

/** The whole report in Markdown. It links the pictures by their file names. */
export function markdownReport(results: Results, charts: readonly Chart[]): string {
  return [
    `# Throughput, side by side`,
    lead(results),
    headlines(results),
    cautions(results),
    ...results.underlays.flatMap((underlay) => [
      `## At a glance: ${plain(underlay.title)}`,
      overview(results, underlay),
    ]),
    `Medians of ${results.rounds} interleaved rounds; how far they lie apart stands below.`,
    ...results.loads.flatMap((load) => loadSection(results, load, charts)),
    ...timelineSection(charts),
    machineSection(results),
    methodSection(results),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n')
}

function lead({ startedAt, machine, generator, command }: Results): string {
  const place = `${plain(machine.cpu)}, ${machine.cores} cores, Linux ${plain(machine.kernel)}`
  return `${startedAt.slice(0, 10)}, on ${place}. Traffic by ${plain(generator.name)} ${plain(generator.version)}. To repeat it: \`${command}\``
}

/** The results of the first load in words, for each underlay. */
function headlines(results: Results): string {
  const [load] = results.loads
  const subject = subjectOf(results)
  return results.underlays
    .flatMap((underlay) => {
      const figures = figuresOf(results, underlay.name, load.name, load.metric)
      const own = figures.find(({ peer }) => peer === subject)
      const others = figures.filter(({ ratio }) => ratio !== undefined)
      if (own === undefined) return []
      const { format } = METRICS[load.metric]
      const compared = others.map(
        (other) =>
          `${times(other.ratio?.median ?? 0)} ${titleOf(results, other.peer)}${undecided(other) ? ' (undecided)' : ''}`,
      )
      const tail = compared.length === 0 ? '' : `: ${compared.join(', ')}`
      return [
        `- **${load.title}**, underlay ${plain(underlay.title)}: ${titleOf(results, subject)} ${format(own.value.median)}${tail}.`,
      ]
    })
    .join('\n')
}

function cautions(results: Results): string {
  const failed = new Map<string, number>()
  for (const { peer, load, underlay, message } of results.failures) {
    const what = `${titleOf(results, peer)}, ${load ?? 'start'}, ${plain(underlay)} failed: ${plain(message)}`
    failed.set(what, (failed.get(what) ?? 0) + 1)
  }
  const failures = [...failed].map(([what, count]) => `${what} (in ${count} of ${results.rounds} rounds)`)
  const all = [...[...reservations(results), ...spreadWarnings(results)].map(plain), ...failures]
  if (all.length === 0) return ''
  return ['> **Before you rely on this**', '>', ...all.map((line) => `> - ${line}`)].join('\n')
}

/** A row for each peer, a column for each load. */
function overview(results: Results, underlay: Results['underlays'][number]): string {
  const columns = results.loads.map((load) => figuresOf(results, underlay.name, load.name, load.metric))
  const rows = results.peers.map(({ name }) => [
    emphasised(results, name),
    ...columns.map((figures, index) => {
      const found = figures.find(({ peer }) => peer === name)
      return found === undefined ? '' : METRICS[results.loads[index].metric].format(found.value.median)
    }),
  ])
  return table([['', ...results.loads.map(({ title }) => title)], ...rows])
}

function timelineSection(charts: readonly Chart[]): string[] {
  const lines = charts.filter(({ file }) => file.startsWith('timeline-'))
  return lines.length === 0 ? [] : ['## Over time', ...lines.map(picture)]
}
