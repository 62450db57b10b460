import asciichart from 'asciichart'
import stringWidth from 'string-width'
import wrapAnsi from 'wrap-ansi'
import type { DemoEvent, DemoResult, Measured } from '../demo/run.js'
import { stdoutColors } from './colors.js'
import { si } from './table.js'

type EventOf<E extends DemoEvent['event']> = Extract<DemoEvent, { event: E }>

/** What has happened through one tunnel so far. */
interface Run {
  readonly tunnels: EventOf<'tunnels'>
  /** Round trips in milliseconds; null for one that was lost. */
  readonly pings: readonly (number | null)[]
  readonly samples: readonly EventOf<'sample'>[]
}

/** What the picture shows: everything that has happened so far. */
export interface Scene {
  readonly hosts?: EventOf<'hosts'>
  /** The first tunnel, and perhaps a second one through the workers. */
  readonly runs: readonly Run[]
  readonly result?: DemoResult
}

export const EMPTY_SCENE: Scene = { runs: [] }

/** The scene after one more event. */
export function advance(scene: Scene, event: DemoEvent): Scene {
  switch (event.event) {
    case 'hosts':
      return { ...scene, hosts: event }
    case 'tunnels':
      return { ...scene, runs: [...scene.runs, { tunnels: event, pings: [], samples: [] }] }
    case 'ping':
      return lastRun(scene, ({ pings }) => ({ pings: [...pings, event.round_trip_ms] }))
    case 'sample':
      return lastRun(scene, ({ samples }) => ({ samples: [...samples, event] }))
    case 'result':
      return { ...scene, result: event }
  }
}

/** The scene with a change of the tunnel that runs now. */
function lastRun(scene: Scene, change: (run: Run) => Partial<Run>): Scene {
  const { runs } = scene
  const last = runs[runs.length - 1]
  return { ...scene, runs: [...runs.slice(0, -1), { ...last, ...change(last) }] }
}

/** Columns of the drawing of the two hosts, and of the widest chart. */
const WIDTH = 72
const CHART_ROWS = 7
const LABEL_COLUMNS = 8

/** asciichart's symbols, except the first: asciichart has a cross at the top of the axis. */
const CHART_SYMBOLS = ['┤', '┤', '╶', '╴', '─', '╰', '╭', '╮', '╯', '│']

/** The scene as text for a terminal of `columns` columns. */
export function draw(scene: Scene, columns: number): string {
  const parts = [
    ...(columns >= WIDTH ? [drawHosts(scene)] : []),
    drawSteps(scene),
    ...(scene.runs.some(({ samples }) => samples.length > 1)
      ? [drawChart(scene, Math.min(columns - 1, WIDTH))]
      : []),
  ]
  return `\n${parts.join('\n\n')}\n`
}

function drawHosts({ hosts, runs, result }: Scene): string {
  const { tunnels, samples = [] } = runs.at(-1) ?? {}
  const a = hosts?.addresses.a
  const b = hosts?.addresses.b
  const busy = samples.length > 0 && result === undefined
  const paint = tunnels === undefined ? stdoutColors.dim : busy ? stdoutColors.cyan : stdoutColors.green
  const box = (device: string, address = '') => `${device}  ${address.padEnd(13)}`
  const line = (left: string, middle: string, right: string) => `  │ ${left} │${middle}│ ${right} │`
  const edge = (from: string, to: string) => `  ${from}${'─'.repeat(21)}${to}`
  const gap = ' '.repeat(22)
  const tunnel =
    tunnels === undefined ? gap : paint(busy ? '━━━━ Ethernet ━━━━━━━▶' : '━━━━━ Ethernet ━━━━━━━')
  return [
    `   ${stdoutColors.bold('host a')}${' '.repeat(17)}${gap}  ${stdoutColors.bold('host b')}`,
    `${edge('┌', '┐')}${gap}${edge('┌', '┐').trimStart()}`,
    line(box('tap0', a?.overlay), tunnel, box('tap0', b?.overlay)),
    line(box('eth0', a?.underlay), stdoutColors.dim('────── UDP 5149 ──────'), box('eth0', b?.underlay)),
    `${edge('└', '┘')}${gap}${edge('└', '┘').trimStart()}`,
  ].join('\n')
}

type Step = readonly [name: string, done: boolean, text: string | undefined]

function drawSteps({ hosts, runs, result }: Scene): string {
  const later = runs.length > 1 || result !== undefined
  const [first, second] = runs
  const steps: readonly Step[] = [
    ['hosts', hosts !== undefined, 'two network namespaces, a cable between them'],
    ...stepsOf(first, later),
    ...(second === undefined ? [] : stepsOf(second, result !== undefined)),
  ]
  const next = steps.findIndex(([, done]) => !done)
  return steps
    .map(([name, done, text], index) => {
      const mark = done ? stdoutColors.green('✔') : index === next ? stdoutColors.cyan('▸') : ' '
      const label = index === next || done ? name.padEnd(8) : stdoutColors.dim(name.padEnd(8))
      return `  ${mark} ${label}${text ?? (index === next ? stdoutColors.dim('…') : '')}`.trimEnd()
    })
    .join('\n')
}

/** @param over whether something has followed */
function stepsOf(run: Run | undefined, over: boolean): readonly Step[] {
  const { tunnels, pings = [], samples = [] } = run ?? {}
  const tcp = samples.at(-1)
  const up =
    tunnels && `up in ${tunnels.took_s.toFixed(2)} s, MTU ${tunnels.mtu_bytes}, ${CARRIED[tunnels.datapath]}`
  return [
    ['tunnel', tunnels !== undefined, up],
    ['ping', samples.length > 0 || over, pings.length > 0 ? pingText(pings) : undefined],
    ['TCP', over, tcp === undefined ? undefined : tcpText(tcp)],
  ]
}

const CARRIED = { kernel: 'carried by the kernel', workers: 'carried by the workers' } as const

function pingText(pings: readonly (number | null)[]): string {
  const last = pings.at(-1) ?? null
  return `${last === null ? stdoutColors.red('lost') : `${last.toFixed(2)} ms`}  ${stdoutColors.dim(bars(pings))}`
}

function tcpText({ gbit_per_s, elapsed_s, seconds, frames, dropped }: EventOf<'sample'>): string {
  const drops = dropped === 0 ? 'none dropped' : stdoutColors.yellow(`${dropped} dropped`)
  const counts = `${si(frames.a_to_b + frames.b_to_a, '')} frames, ${drops}`
  const time = `${Math.min(elapsed_s, seconds).toFixed(1)} of ${seconds} s`
  return `${stdoutColors.bold(`${gbit_per_s.toFixed(2)} Gbit/s`)}  ${time}  ${counts}`
}

const BARS = '▁▂▃▄▅▆▇█'

/** A bar for each value; the highest value has a full bar. A cross for a missing value. */
function bars(values: readonly (number | null)[]): string {
  const most = Math.max(...values.map((value) => value ?? 0))
  return values
    .map((value) => (value === null ? '×' : BARS[Math.min(7, Math.floor((value / most) * 8))]))
    .join('')
}

/** Throughput over time, of each tunnel. The whole run goes from the left edge to the right edge. */
function drawChart({ runs }: Scene, width: number): string {
  const columns = width - LABEL_COLUMNS - 2
  const drawn = runs.filter(({ samples }) => samples.length > 1)
  const rates = drawn.map(({ samples }) => stretch(samples, columns))
  const most = Math.max(...rates.flat(), 0.01)
  const plot = asciichart.plot(rates, {
    min: 0,
    max: most,
    height: CHART_ROWS,
    offset: 2,
    symbols: CHART_SYMBOLS,
    format: (value) => value.toFixed(most < 10 ? 2 : 1).padStart(LABEL_COLUMNS - 1),
    colors: drawn.map(({ tunnels }) =>
      stdoutColors.isColorSupported ? CHART_COLORS[tunnels.datapath] : undefined,
    ),
  })
  const legend = drawn.map(({ tunnels: { datapath } }) => LEGEND_COLORS[datapath](CARRIED[datapath]))
  return `  ${stdoutColors.dim('Gbit/s')}  ${legend.join('  ')}\n\n${plot}`
}

const CHART_COLORS = { kernel: asciichart.green, workers: asciichart.cyan } as const
const LEGEND_COLORS = { kernel: stdoutColors.green, workers: stdoutColors.cyan } as const

/** One rate for each column of the time that has passed. Each is the rate of the nearest earlier sample. */
function stretch(samples: readonly EventOf<'sample'>[], columns: number): number[] {
  const { elapsed_s, seconds } = samples[samples.length - 1]
  const filled = Math.max(2, Math.min(columns, Math.round((elapsed_s / seconds) * columns)))
  return Array.from({ length: filled }, (_, column) => {
    const at = ((column + 1) / filled) * samples.length
    return samples[Math.max(0, Math.ceil(at) - 1)].gbit_per_s
  })
}

/** The final figures, as text for a person on a terminal of `columns` columns. */
export function drawResult(result: DemoResult, columns: number): string {
  const parts = result.workers === null ? [result] : [result, result.workers]
  const texts = parts.map((measured) => {
    const title = stdoutColors.bold(`  ${CARRIED[measured.datapath]}`)
    return [...(parts.length > 1 ? [title] : []), ...linesOf(measured, columns)].join('\n')
  })
  const start = (own: string, other: string, on: string) =>
    `    ${stdoutColors.cyan(`udptun-fast start ${own} <address of ${other}>`)}  on ${on}`
  const then = [
    '  Both hosts are gone again. The same between two of yours:',
    start('10.9.0.1', 'b', 'a'),
    start('10.9.0.2', 'a', 'b'),
  ]
  return `\n${texts.join('\n\n')}\n\n${then.map((line) => indented(line, columns)).join('\n')}\n`
}

/** A line in as many as it needs, which begin as far from the left. */
function indented(line: string, columns: number): string {
  const margin = line.slice(0, line.search(/\S/))
  const text = wrapAnsi(line.slice(margin.length), columns - margin.length)
  return text
    .split('\n')
    .map((it) => `${margin}${it}`)
    .join('\n')
}

function linesOf({ tcp, round_trip_ms, frames, drops }: Measured, columns: number): readonly string[] {
  const ms = (value: number | null) => (value === null ? 'none came back' : `${value.toFixed(2)} ms`)
  const dropped = Object.entries(drops).map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`)
  const rows: readonly (readonly [string, string, string])[] = [
    [
      'throughput',
      `${tcp.gbit_per_s.toFixed(2)} Gbit/s`,
      `one TCP stream, ${tcp.seconds.toFixed(1)} s, ${si(tcp.bytes, 'B')}`,
    ],
    ['round trip', ms(round_trip_ms.idle), `with TCP beside it ${ms(round_trip_ms.loaded)}`],
    [
      'frames',
      si(frames.a_to_b + frames.b_to_a, ''),
      `${si(frames.a_to_b, '')} there, ${si(frames.b_to_a, '')} back`,
    ],
    ['dropped', dropped.length === 0 ? 'none' : dropped.join(', '), ''],
  ]
  return rows.map(([name, figure, detail]) => {
    const text = `  ${stdoutColors.dim(name.padEnd(12))}${stdoutColors.bold(figure.trim().padEnd(14))}`
    const whole = `${text}${stdoutColors.dim(detail)}`.trimEnd()
    if (stringWidth(whole) <= columns) return whole
    const below = detail === '' ? [] : [`    ${stdoutColors.dim(detail)}`]
    return [text, ...below].map((it) => indented(it, columns)).join('\n')
  })
}
