import type { DropReason } from '../../control/status.js'
import { stdoutColors } from '../colors.js'
import { describe, statesText } from '../status.js'
import { duration, si } from '../table.js'
import type { TopState } from './model.js'
import { type Column, cut, fit, headLine, rowLine, sparkline, tableColumns } from './text.js'

/** What a rate is while it is not known. */
export const UNKNOWN = '–'

export function rate(value: number | undefined, unit = ''): string {
  return value === undefined ? UNKNOWN : si(value, unit)
}

/** What the tunnel is, its peers, and what is wrong with the whole of it. */
export function deviceLines({ report }: TopState, columns: number): string[] {
  const { device, mode, local, mtu_bytes, uptime_s, peers, privacy, listen, listen_trouble, faults } = report
  const rest = ` ${mode}  ${local.join(', ') || 'no address'}  MTU ${mtu_bytes}  up ${duration(uptime_s)}`
  const carried = peers.filter(({ datapath }) => datapath.by === 'kernel').length
  const count = Object.values(faults.places).reduce((sum, it) => sum + it, 0)
  const facts = [
    peers.length === 1 ? `1 peer: ${peers[0].state}` : `${peers.length} peers: ${statesText(peers)}`,
    `the kernel carries ${carried} of ${peers.length}`,
    privacy === null ? 'not private' : `private by ${privacy.crypto}`,
  ]
  const wrong = [
    ...(listen_trouble === null ? [] : [`! waiting to listen on ${listen}: ${listen_trouble}`]),
    ...(count === 0 ? [] : [`! ${count} faults of the program itself; the log says which`]),
  ]
  const name = cut(device, columns)
  return [
    `${stdoutColors.bold(name)}${cut(rest, columns - name.length)}`,
    cut(facts.join('  '), columns),
    ...wrong.map((text) => stdoutColors.red(cut(text, columns))),
  ]
}

const WAY_COLUMNS = [8, 10, 11] as const

/** Frames and bits a second each way, and their sparklines. */
export function trafficLines({ rates, history }: TopState, columns: number): string[] {
  const ways = ['outbound', 'inbound'] as const
  const left: Column<(typeof ways)[number]>[] = [
    {
      head: 'traffic',
      columns: WAY_COLUMNS[0],
      text: (way) => way,
      paint: (text) => stdoutColors.cyan(text),
    },
    { head: 'frames/s', columns: WAY_COLUMNS[1], side: 'right', text: (way) => rate(rates?.[way].frames) },
    { head: 'bit/s', columns: WAY_COLUMNS[2], side: 'right', text: (way) => rate(rates?.[way].bits) },
  ]
  return withSparklines(left, ways, (way) => history[way], columns, 'bit/s')
}

/**
 * A table with a sparkline on the right of each row, and how much its highest bar stands for.
 * @param valuesOf the newest last
 */
export function withSparklines<Row>(
  left: readonly Column<Row>[],
  rows: readonly Row[],
  valuesOf: (row: Row) => readonly number[],
  columns: number,
  unit: string,
): string[] {
  const bars = columns - tableColumns(left) - 2 - MOST_COLUMNS - 2
  const most = (row: Row) => {
    const known = valuesOf(row)
      .slice(-bars)
      .filter((value) => !Number.isNaN(value))
    return known.length === 0 ? '' : `most ${si(Math.max(...known), '')}`
  }
  const line = (row: Row) =>
    `${rowLine(left, row)}  ${sparkline(valuesOf(row), bars)}  ${stdoutColors.dim(fit(most(row), MOST_COLUMNS, 'right'))}`
  if (bars < 10)
    return [dimHead(headLine(left), columns), ...rows.map((row) => cut(rowLine(left, row), columns))]
  const head = `${headLine(left)}  ${fit(bars < 24 ? `last ${bars} s` : `${unit} of the last ${bars} s`, bars, 'right')}`
  return [dimHead(head, columns), ...rows.map(line)]
}

const MOST_COLUMNS = 11

export function dimHead(text: string, columns: number): string {
  return stdoutColors.dim(cut(text, columns))
}

/** What the workers do in a second, and how full the rings are. */
export function workerLines({ report, rates }: TopState, columns: number): string[] {
  const workers = ['tap', 'udp'] as const
  type Name = (typeof workers)[number]
  const ring = (name: Name) => {
    const { used_bytes, high_water_bytes, bytes } = report.rings[name === 'tap' ? 'outbound' : 'inbound']
    const percent = (part: number) => `${Math.round((part / bytes) * 100)} %`
    return `${percent(used_bytes)}, most ${percent(high_water_bytes)}`
  }
  const per = (head: string, key: 'wake_ups' | 'syscalls' | 'doorbells' | 'ring_full', wide: number) => ({
    head,
    columns: wide,
    side: 'right' as const,
    text: (name: Name) => rate(rates?.workers[name][key]),
  })
  const table: Column<Name>[] = [
    {
      head: 'worker',
      columns: WAY_COLUMNS[0],
      text: (name) => name,
      paint: (text) => stdoutColors.cyan(text),
    },
    per('wake-ups/s', 'wake_ups', WAY_COLUMNS[1]),
    per('syscalls/s', 'syscalls', WAY_COLUMNS[2]),
    per('doorbells/s', 'doorbells', 11),
    per('ring full/s', 'ring_full', 11),
    { head: 'ring it fills', columns: 16, side: 'right', text: ring },
  ]
  return [dimHead(headLine(table), columns), ...workers.map((name) => cut(rowLine(table, name), columns))]
}

/**
 * The reasons for which something was dropped; the most frequent now comes first.
 * @param most how many lines there may be, the head included
 */
export function dropLines({ report, rates, history }: TopState, columns: number, most: number): string[] {
  const now = (reason: DropReason) => rates?.drops[reason] ?? 0
  const reasons = (Object.keys(report.drops) as DropReason[])
    .filter((reason) => report.drops[reason] > 0)
    .sort((a, b) => now(b) - now(a) || report.drops[b] - report.drops[a])
  if (reasons.length === 0) return [stdoutColors.green(cut('nothing dropped', columns))]
  const bars = Math.min(60, columns - 62)
  const table: Column<DropReason>[] = [
    {
      head: 'dropped',
      columns: 23,
      text: (it) => it,
      paint: (text, it) => (now(it) > 0 ? stdoutColors.red(text) : text),
    },
    { head: 'per s', columns: 6, side: 'right', text: (it) => rate(rates?.drops[it]) },
    { head: 'frames', columns: 7, side: 'right', text: (it) => si(report.drops[it], '') },
    { head: 'because', columns: Math.max(10, columns - 42), text: describe },
  ]
  const isCut = reasons.length + 1 > most
  const shown = isCut ? reasons.slice(0, Math.max(1, most - 2)) : reasons
  const left = reasons.length - shown.length
  const more =
    isCut && most > 2 ? [dimHead(`and ${left} more ${left === 1 ? 'reason' : 'reasons'}`, columns)] : []
  const head = headLine(table).trimEnd()
  const line = bars < 10 ? head : `${fit(head, columns - bars)}${sparkline(history.dropped, bars)}`
  return [
    bars < 10 ? dimHead(line, columns) : stdoutColors.dim(line),
    ...shown.map((reason) => cut(rowLine(table, reason), columns)),
    ...more,
  ]
}
