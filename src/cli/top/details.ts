import wrapAnsi from 'wrap-ansi'
import { WORKER_REASONS } from '../../control/datapath/reason.js'
import type { PeerStatus } from '../../control/status.js'
import { stdoutColors } from '../colors.js'
import { complaints, STATE_COLORS, wayTo } from '../peers.js'
import { pathText } from '../status.js'
import { duration, milliseconds, si } from '../table.js'
import { chosenPeer, type TopState } from './model.js'
import { deviceLines, rate, withSparklines } from './overview.js'
import type { Size } from './size.js'
import type { Column } from './text.js'

const LABEL = 12

/** A part of the details page. */
export interface DetailsPage {
  readonly lines: readonly string[]
  /** How many lines there are above, and how many below. */
  readonly above: number
  readonly below: number
}

/** What the screen shows of the chosen peer. If that is too long, the lines from the one that it is scrolled to. */
export function detailsPage(state: TopState, { columns, rows }: Size): DetailsPage {
  const all = [...deviceLines(state, columns), '', ...detailLines(state, columns)]
  const above = Math.min(state.scrolled, Math.max(0, all.length - rows))
  const lines = all.slice(above, above + rows)
  return { lines, above, below: all.length - above - lines.length }
}

/** Everything that is known of the chosen peer. A long text goes on in the next line. */
export function detailLines(state: TopState, columns: number): string[] {
  const chosen = chosenPeer(state)
  if (chosen === undefined) return ['no peer']
  const { peer, place } = chosen
  const facts = factsOf(peer).flatMap(([label, text]) => {
    const lines = wrapAnsi(text, Math.max(10, columns - LABEL), { hard: true }).split('\n')
    return lines.map((line, index) => `${stdoutColors.dim((index === 0 ? label : '').padEnd(LABEL))}${line}`)
  })
  const wrong = complaints(peer, state.report).flatMap((text) =>
    wrapAnsi(`! ${text}`, columns, { hard: true })
      .split('\n')
      .map((line) => stdoutColors.yellow(line)),
  )
  const title = wrapAnsi(`${peer.name}  peer ${place + 1} of ${state.report.peers.length}`, columns, {
    hard: true,
  })
  return [
    ...title.split('\n').map((line) => stdoutColors.bold(line)),
    ...facts,
    '',
    ...trafficOf(peer, state, columns),
    ...(wrong.length === 0 ? [] : ['', ...wrong]),
  ]
}

function factsOf(peer: PeerStatus): (readonly [label: string, text: string])[] {
  const { host, endpoint, from, underlay, privacy, path_mtu, datapath, overlay } = peer
  const heard = peer.heard_s === null ? 'not heard yet' : `heard ${duration(peer.heard_s)} ago`
  const keepalives = { true: 'answers keepalives', false: 'answers no keepalives', null: undefined }
  const roundTrip = peer.rtt_ms == null ? undefined : `round trip ${milliseconds(peer.rtt_ms)} ms`
  const state = [STATE_COLORS[peer.state](peer.state), heard, keepalives[`${peer.keepalives}`], roundTrip]
  const way = underlay === null ? [] : [`by ${underlay.interface ?? 'no route'} (MTU ${underlay.mtu_bytes})`]
  const why = datapath.reason === null ? '' : `, because ${WORKER_REASONS[datapath.reason]}`
  const carried =
    peer.carried_mtu_bytes === null ? '' : `; carries an overlay MTU of ${peer.carried_mtu_bytes}`
  const secret = privacy?.preshared_key ? ', with a preshared key' : ''
  const age = privacy?.handshake_s == null ? 'no keys yet' : `keys ${duration(privacy.handshake_s)} old`
  return [
    ['state', state.filter((it) => it !== undefined).join(', ')],
    [
      'endpoint',
      [
        endpoint ?? (wayTo(peer) || `${host}, not found yet`),
        ...(from === null ? [] : [`from ${from}`]),
        ...way,
      ].join('  '),
    ],
    ...(peer.introduced_by == null ? [] : [['way', pathOf(peer)] as const]),
    ['datapath', `the ${datapath.by}${why}`],
    ['path MTU', path_mtu === null ? 'not known' : `${pathText(path_mtu)}${carried}`],
    ...(privacy === null ? [] : [['private', `${age}${secret}`] as const]),
    ...(overlay.length === 0 ? [] : [['overlay', overlay.join(', ')] as const]),
  ]
}

/** Whether an introduced peer is reached directly, and why not. */
function pathOf(peer: PeerStatus): string {
  const because = peer.relayed == null ? '' : `, because ${peer.relayed.why}`
  return `${wayTo(peer) || 'none yet'}${because}`
}

function trafficOf(peer: PeerStatus, { rates, peerHistory }: TopState, columns: number): string[] {
  const ways = ['outbound', 'inbound'] as const
  type Way = (typeof ways)[number]
  const now = rates?.peers.get(peer.name)
  const number = (head: string, wide: number, text: (way: Way) => string): Column<Way> => ({
    head,
    columns: wide,
    side: 'right',
    text,
  })
  const table: Column<Way>[] = [
    { head: 'traffic', columns: 8, text: (way) => way },
    number('frames/s', 8, (way) => rate(now?.[way].frames)),
    number('bit/s', 7, (way) => rate(now?.[way].bits)),
    number('frames', 7, (way) => si(peer[way].frames, '')),
    number('bytes', 7, (way) => si(peer[way].bytes, '')),
    number('dropped', 7, (way) => si(peer[way].dropped, '')),
  ]
  const history = peerHistory.get(peer.name)
  return withSparklines(table, ways, (way) => history?.[way] ?? [], columns, 'bit/s')
}
