import asciichart from 'asciichart'
import pc from 'picocolors'
import type { DemoEvent, DemoResult } from '../demo/run.js'
import { si } from './table.js'

type EventOf<E extends DemoEvent['event']> = Extract<DemoEvent, { event: E }>

/** What the picture shows: everything that has happened so far. */
export interface Scene {
  readonly hosts?: EventOf<'hosts'>
  readonly tunnels?: EventOf<'tunnels'>
  /** Round trips in milliseconds; null for one that was lost. */
  readonly pings: readonly (number | null)[]
  readonly samples: readonly EventOf<'sample'>[]
  readonly result?: DemoResult
}

export const EMPTY_SCENE: Scene = { pings: [], samples: [] }

/** The scene after one more event. */
export function advance(scene: Scene, event: DemoEvent): Scene {
  switch (event.event) {
    case 'hosts':
      return { ...scene, hosts: event }
    case 'tunnels':
      return { ...scene, tunnels: event }
    case 'ping':
      return { ...scene, pings: [...scene.pings, event.round_trip_ms] }
    case 'sample':
      return { ...scene, samples: [...scene.samples, event] }
    case 'result':
      return { ...scene, result: event }
  }
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
    ...(scene.samples.length > 1 ? [drawChart(scene, Math.min(columns - 1, WIDTH))] : []),
  ]
  return `\n${parts.join('\n\n')}\n`
}

function drawHosts({ hosts, tunnels, samples, result }: Scene): string {
  const a = hosts?.addresses.a
  const b = hosts?.addresses.b
  const busy = samples.length > 0 && result === undefined
  const paint = tunnels === undefined ? pc.dim : busy ? pc.cyan : pc.green
  const box = (device: string, address = '') => `${device}  ${address.padEnd(13)}`
  const line = (left: string, middle: string, right: string) => `  │ ${left} │${middle}│ ${right} │`
  const edge = (from: string, to: string) => `  ${from}${'─'.repeat(21)}${to}`
  const gap = ' '.repeat(22)
  const tunnel =
    tunnels === undefined ? gap : paint(busy ? '━━━━ Ethernet ━━━━━━━▶' : '━━━━━ Ethernet ━━━━━━━')
  return [
    `   ${pc.bold('host a')}${' '.repeat(17)}${gap}  ${pc.bold('host b')}`,
    `${edge('┌', '┐')}${gap}${edge('┌', '┐').trimStart()}`,
    line(box('tap0', a?.overlay), tunnel, box('tap0', b?.overlay)),
    line(box('eth0', a?.underlay), pc.dim('────── UDP 5149 ──────'), box('eth0', b?.underlay)),
    `${edge('└', '┘')}${gap}${edge('└', '┘').trimStart()}`,
  ].join('\n')
}

function drawSteps(scene: Scene): string {
  const { hosts, tunnels, pings, samples, result } = scene
  const tcp = samples.at(-1)
  const steps: readonly (readonly [name: string, done: boolean, text: string | undefined])[] = [
    ['hosts', hosts !== undefined, 'two network namespaces, a cable between them'],
    [
      'tunnel',
      tunnels !== undefined,
      tunnels === undefined ? undefined : `up in ${tunnels.took_s.toFixed(2)} s, MTU ${tunnels.mtu_bytes}`,
    ],
    ['ping', samples.length > 0 || result !== undefined, pings.length > 0 ? pingText(pings) : undefined],
    ['TCP', result !== undefined, tcp === undefined ? undefined : tcpText(tcp)],
  ]
  const next = steps.findIndex(([, done]) => !done)
  return steps
    .map(([name, done, text], index) => {
      const mark = done ? pc.green('✔') : index === next ? pc.cyan('▸') : ' '
      const label = index === next || done ? name.padEnd(8) : pc.dim(name.padEnd(8))
      return `  ${mark} ${label}${text ?? (index === next ? pc.dim('…') : '')}`.trimEnd()
    })
    .join('\n')
}

function pingText(pings: readonly (number | null)[]): string {
  const last = pings.at(-1) ?? null
  return `${last === null ? pc.red('lost') : `${last.toFixed(2)} ms`}  ${pc.dim(bars(pings))}`
}

function tcpText({ gbit_per_s, elapsed_s, seconds, frames, dropped }: EventOf<'sample'>): string {
  const drops = dropped === 0 ? 'none dropped' : pc.yellow(`${dropped} dropped`)
  const counts = `${si(frames.a_to_b + frames.b_to_a, '')} frames, ${drops}`
  const time = `${Math.min(elapsed_s, seconds).toFixed(1)} of ${seconds} s`
  return `${pc.bold(`${gbit_per_s.toFixed(2)} Gbit/s`)}  ${time}  ${counts}`
}

const BARS = '▁▂▃▄▅▆▇█'

/** A bar for each value; the highest value has a full bar. A cross for a missing value. */
function bars(values: readonly (number | null)[]): string {
  const most = Math.max(...values.map((value) => value ?? 0))
  return values
    .map((value) => (value === null ? '×' : BARS[Math.min(7, Math.floor((value / most) * 8))]))
    .join('')
}

/** Throughput over time. The whole run goes from the left edge to the right edge. */
function drawChart({ samples }: Scene, width: number): string {
  const columns = width - LABEL_COLUMNS - 2
  const rates = stretch(samples, columns)
  const most = Math.max(...rates, 0.01)
  const plot = asciichart.plot(rates, {
    min: 0,
    max: most,
    height: CHART_ROWS,
    offset: 2,
    symbols: CHART_SYMBOLS,
    format: (value) => value.toFixed(most < 10 ? 2 : 1).padStart(LABEL_COLUMNS - 1),
    colors: [pc.isColorSupported ? asciichart.cyan : undefined],
  })
  return `  ${pc.dim('Gbit/s')}\n\n${plot}`
}

/** One rate for each column of the time that has passed. Each is the rate of the nearest earlier sample. */
function stretch(samples: readonly EventOf<'sample'>[], columns: number): number[] {
  const { elapsed_s, seconds } = samples[samples.length - 1]
  const filled = Math.max(2, Math.min(columns, Math.round((elapsed_s / seconds) * columns)))
  return Array.from({ length: filled }, (_, column) => {
    const at = ((column + 1) / filled) * samples.length
    return samples[Math.max(0, Math.ceil(at) - 1)].gbit_per_s
  })
}

/** The final figures, as text for a person. */
export function drawResult({ tcp, round_trip_ms, frames, drops }: DemoResult): string {
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
  const lines = rows.map(
    ([name, figure, detail]) =>
      `  ${pc.dim(name.padEnd(12))}${pc.bold(figure.trim().padEnd(14))}${pc.dim(detail)}`,
  )
  return `
${lines.map((line) => line.trimEnd()).join('\n')}

  Both hosts are gone again. The same between two of yours:
    ${pc.cyan('udptun-fast start 10.9.0.1 <address of b>')}  on a
    ${pc.cyan('udptun-fast start 10.9.0.2 <address of a>')}  on b
`
}
