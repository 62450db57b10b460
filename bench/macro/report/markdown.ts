import { markdownTable } from 'markdown-table'
import { METRICS, type MetricName } from '../metrics.js'
import type { Results } from '../results.js'
import type { Summary } from '../statistics.js'
import type { Chart } from './charts.js'
import {
  type Figure,
  figure,
  figuresOf,
  subjectOf,
  undecided,
  unsteady,
  WIDE_SPREAD,
  warnings,
} from './figures.js'

/** What stands beside the figure that a load is judged by, where it was measured. */
const BESIDE: readonly MetricName[] = ['p99Ms', 'lostPercent', 'cpuSecondsPerGigabyte', 'residentBytes']

/** Text from elsewhere, such as a version, as Markdown shows it unchanged. */
const plain = (text: string) => text.replaceAll(/[\\`*_[\]<>|]/g, '\\$&')

/** `2.70 – 3.19 Gbit/s`: the unit once where both have the same. */
function range({ low, high }: Summary, format: (value: number) => string): string {
  const [from, fromUnit] = format(low).split(' ')
  const [to, unit] = format(high).split(' ')
  return fromUnit === unit ? `${from} – ${to} ${unit}` : `${from} ${fromUnit} – ${to} ${unit}`
}

const times = (factor: number) => `${factor.toPrecision(factor >= 10 ? 3 : 2)} ×`

/** The whole report in Markdown; pictures are linked by their files' names. */
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

/** What the first load says in words, per underlay. */
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
        ({ peer, ratio }) => `${times(ratio?.median ?? 0)} ${titleOf(results, peer)}`,
      )
      const tail = compared.length === 0 ? '' : `: ${compared.join(', ')}`
      return [
        `- **${load.title}**, underlay ${plain(underlay.title)}: ${titleOf(results, subject)} ${format(own.value.median)}${tail}.`,
      ]
    })
    .join('\n')
}

function cautions(results: Results): string {
  const failures = results.failures.map(
    ({ peer, load, underlay, round, message }) =>
      `${titleOf(results, peer)}, ${load ?? 'start'}, ${plain(underlay)}, round ${round} failed: ${plain(message)}`,
  )
  const skipped = results.skipped.map(
    ({ title, reason }) => `${plain(title)} took no part: ${plain(reason)}.`,
  )
  const all = [...warnings(results).map(plain), ...failures, ...skipped]
  if (all.length === 0) return ''
  return ['> **Before you rely on this**', '>', ...all.map((line) => `> - ${line}`)].join('\n')
}

/** A row a peer, a column a load, the best of each column in bold. */
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

function loadSection(results: Results, load: Results['loads'][number], charts: readonly Chart[]): string[] {
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

function timelineSection(charts: readonly Chart[]): string[] {
  const lines = charts.filter(({ file }) => file.startsWith('timeline-'))
  return lines.length === 0 ? [] : ['## Over time', ...lines.map(picture)]
}

function machineSection(results: Results): string {
  const { machine, generator, underlays, peers } = results
  const facts: [string, string][] = [
    ['CPU', `${machine.cpu}, ${machine.cores} cores${machine.virtual ? ', a virtual machine' : ''}`],
    ['memory', METRICS.residentBytes.format(machine.memoryBytes)],
    ['system', `${machine.system}, Linux ${machine.kernel}, ${machine.architecture}`],
    ['Node', machine.node],
    ['TCP congestion control', machine.tcpCongestionControl],
    ['load average before', machine.loadAverage.toFixed(2)],
    ['traffic', `${generator.name} ${generator.version}`],
    ...underlays.map(({ title, mtuBytes, offloadsOn, rate }): [string, string] => [
      `underlay, ${title}`,
      `a veth pair, MTU ${mtuBytes}${rate === null ? '' : `, held to ${rate}`}, offloads: ${offloadsOn.join(', ') || 'none'}`,
    ]),
    ...peers.map(({ title, version, encrypts }): [string, string] => [
      title,
      `${version}${encrypts ? ', encrypts' : ', does not encrypt'}`,
    ]),
  ]
  return `## Machine and versions\n\n${table([['', ''], ...facts.map((row) => row.map(plain))], ['l', 'l'])}`
}

function methodSection({ rounds, seconds }: Results): string {
  return `## How it was measured

- Two hosts made of network namespaces, a veth pair between them; both ends of the tunnel, the traffic's two programs and the kernel share this one machine. A veth carries super-frames whole and so flatters whatever uses offloads: that is why there is an underlay without.
- ${rounds} interleaved rounds (A B C, A B C, …), each peer started anew in each. Every figure is the median of the rounds, beside it the lowest and highest. Of five rounds these two hold the true median between them 94 times in 100.
- Every ratio is computed within its round, before the median is taken: neighbours in time share the machine's mood. "undecided" means that the rounds do not agree which is ahead; (!) that they lie more than ${WIDE_SPREAD * 100}% apart.
- Throughput is payload that reached the receiving program, over ${seconds} s. Datagrams as fast as they come: counted where they arrive.
- CPU of the tunnel: processor time of both ends' processes, in user space and kernel, for each gigabyte of payload delivered. Work that the kernel does outside of any process, as all of VXLAN's, is not in it.
- Memory: the resident set of the larger of the two ends' processes, after the load.`
}

const titleOf = ({ peers }: Results, wanted: string) =>
  plain(peers.find(({ name }) => name === wanted)?.title ?? wanted)

const emphasised = (results: Results, peer: string) =>
  peer === subjectOf(results) ? `**${titleOf(results, peer)}**` : titleOf(results, peer)

const picture = ({ title, file }: Chart) => `![${title}](${file})`

function table(rows: readonly (readonly string[])[], align?: string[]): string {
  return markdownTable(rows, { align: align ?? ['l', ...rows[0].slice(1).map(() => 'r')] })
}
