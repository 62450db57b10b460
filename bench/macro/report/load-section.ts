import { METRICS, type MetricName } from '../metrics.js'
import type { Results } from '../results.js'
import { type Figure, figure, figuresOf, subjectOf, undecided, unsteady } from './figures.js'
import type { Chart } from './svg.js'
import { emphasised, picture, plain, range, table, times, titleOf } from './words.js'

/** Metrics that are shown beside the main metric of a load, if they were measured. */
const BESIDE: readonly MetricName[] = ['p99Ms', 'lostPercent', 'cpuSecondsPerGigabyte', 'residentBytes']

/** The results of a load: its chart, and for each underlay a table with a row for each peer. */
export function loadSection(
  results: Results,
  load: Results['loads'][number],
  charts: readonly Chart[],
): string[] {
  const chart = charts.find(({ file }) => file === `${load.name}.svg`)
  const tables = results.underlays.flatMap((underlay) => {
    const figures = figuresOf(results, underlay.name, load.name, load.metric)
    return figures.length === 0 ? [] : [`**${plain(underlay.title)}**`, loadTable(results, figures)]
  })
  if (tables.length === 0) return []
  return [`## ${load.title}`, ...(chart === undefined ? [] : [picture(chart)]), ...tables]
}

function loadTable(results: Results, figures: readonly Figure[]): string {
  const [{ underlay, load, metric }] = figures
  const beside = BESIDE.filter((other) => figuresOf(results, underlay, load, other).length > 0)
  const subject = titleOf(results, subjectOf(results))
  const head = [
    '',
    METRICS[metric].title,
    'all rounds',
    `${subject} ÷ this`,
    'all rounds',
    ...beside.map((name) => METRICS[name].title),
  ]
  const rows = figures.map((row) => [
    emphasised(results, row.peer),
    METRICS[metric].format(row.value.median),
    `${range(row.value, METRICS[metric].format)}${unsteady(row) ? ' (!)' : ''}`,
    row.ratio === undefined ? '' : times(row.ratio.median),
    row.ratio === undefined ? '' : `${range(row.ratio, times)}${undecided(row) ? ' (undecided)' : ''}`,
    ...beside.map((name) => {
      const found = figure(results, underlay, load, row.peer, name)
      return found === undefined ? 'n/a' : METRICS[name].format(found.value.median)
    }),
  ])
  return table([head, ...rows])
}
