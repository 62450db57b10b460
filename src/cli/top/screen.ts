import wrapAnsi from 'wrap-ansi'
import { stdoutColors } from '../colors.js'
import { detailsPage } from './details.js'
import { KEYS } from './keys.js'
import type { TopState } from './model.js'
import { deviceLines, dropLines, trafficLines, workerLines } from './overview.js'
import { peerListLines } from './peer-list.js'
import { roomIn, type Size } from './size.js'
import { cut, fit } from './text.js'

/** The screen as at most `rows` lines, each of at most `columns` columns. The last line says which keys there are. */
export function drawScreen(state: TopState, size: Size): string[] {
  const { columns } = size
  const room = roomIn(size)
  const lines = BODIES[state.view](state, room).slice(0, room.rows)
  const space = Array.from({ length: room.rows - lines.length }, () => '')
  return [
    ...lines.map((line) => cut(line, columns)),
    ...space,
    stdoutColors.dim(cut(footer(state, room), columns)),
  ]
}

const BODIES: Readonly<Record<TopState['view'], (state: TopState, room: Size) => readonly string[]>> = {
  list: overview,
  details: (state, room) => detailsPage(state, room).lines,
  help: (_, { columns }) => helpLines(columns),
}

const FOOTERS: Readonly<Record<TopState['view'], string>> = {
  list: 'q quit  ? help  ↑↓ choose  enter details  sort: r rate  n name  s state  d drops',
  details: 'q quit  ? help  ↑↓ other peer  enter back',
  help: 'q quit  any other key: back',
}

function footer(state: TopState, room: Size): string {
  if (state.view !== 'details') return FOOTERS[state.view]
  const { above, below } = detailsPage(state, room)
  if (above + below === 0) return FOOTERS.details
  const hidden = [
    ...(above > 0 ? [`page up: ${above} more`] : []),
    ...(below > 0 ? [`page down: ${below} more`] : []),
  ]
  return `${hidden.join('  ')}  ${FOOTERS.details}`
}

/** How many lines of peers should be there before anything else may take their place. */
const LEAST_PEER_ROWS = 5

/**
 * The parts of the overview in the order of the screen. On a small screen some are left out, so that a few peers
 * always are shown.
 */
function overview(state: TopState, { columns, rows }: Size): string[] {
  const device = deviceLines(state, columns)
  const traffic = trafficLines(state, columns)
  const workers = workerLines(state, columns)
  const drops = dropLines(state, columns, Math.max(2, Math.min(12, Math.floor(rows / 5))))
  const peerRows = 2 + Math.min(LEAST_PEER_ROWS, state.report.peers.length)
  let left = rows - peerRows
  const kept = new Set<readonly string[]>()
  for (const part of [traffic, device, drops, workers]) {
    if (part.length > left) break
    left -= part.length
    kept.add(part)
  }
  const parts = [device, traffic, workers, drops].filter((part) => kept.has(part))
  const gaps = new Set(parts.slice(0, Math.max(0, left)))
  const above = parts.flatMap((part) => (gaps.has(part) ? [...part, ''] : part))
  return [...above, ...peerListLines(state, columns, rows - above.length)]
}

const HELP = `Rates are means of the last second. "${'–'}" is a rate that is not known yet. "by" says who carries the peer's frames: the kernel, or this program's workers. A count of drops is since the start; what each reason means is in docs/troubleshooting.md.`

function helpLines(columns: number): string[] {
  const indent = 14
  const keys = KEYS.flatMap(([key, text]) =>
    wrapAnsi(text, Math.max(10, columns - indent), { hard: true })
      .split('\n')
      .map((line, index) => `  ${fit(index === 0 ? key : '', indent - 2)}${line}`),
  )
  return [stdoutColors.bold('Keys'), ...keys, '', ...wrapAnsi(HELP, columns, { hard: true }).split('\n')].map(
    (line) => cut(line, columns),
  )
}
