import stringWidth from 'string-width'
import type { PeerStatus } from '../../control/status.js'
import { stdoutColors } from '../colors.js'
import { STATE_COLORS } from '../peers.js'
import { duration, milliseconds, si } from '../table.js'
import { type Sort, sortedPeers, type TopState } from './model.js'
import { rate } from './overview.js'
import { type Column, cut, headLine, rowLine, sparkline, tableColumns } from './text.js'

const LEAST_NAME = 12
const BARS = 30

const SORT_TEXT: Readonly<Record<Sort, string>> = {
  rate: 'by rate',
  name: 'by name',
  state: 'by state, the worst first',
  drops: 'by drops',
}

/**
 * The sorted peers around the chosen one, under a line that says which ones they are.
 * @param rows how many lines there may be
 */
export function peerListLines(state: TopState, columns: number, rows: number): string[] {
  const peers = sortedPeers(state)
  const room = Math.max(1, rows - 2)
  const place = peers.findIndex(({ name }) => name === state.chosen)
  const first = Math.max(0, Math.min(place - Math.floor(room / 2), peers.length - room))
  const shown = peers.slice(first, first + room)
  const table = columnsThatFit(state, columns)
  const which =
    shown.length === peers.length ? '' : ` ${first + 1} to ${first + shown.length} of ${peers.length}`
  const title = `peers${which}, ${SORT_TEXT[state.sort]}`
  return [
    stdoutColors.bold(cut(title, columns)),
    stdoutColors.dim(cut(`  ${headLine(table)}`, columns)),
    ...shown.map((peer) => {
      const isChosen = peer.name === state.chosen
      const line = cut(`${isChosen ? '>' : ' '} ${rowLine(table, peer)}`, columns)
      return isChosen ? stdoutColors.bold(line) : line
    }),
  ]
}

/** The columns for this width: the most useful ones first, and the name gets what is left. */
function columnsThatFit({ report, rates, peerHistory }: TopState, columns: number): Column<PeerStatus>[] {
  const of = ({ name }: PeerStatus) => rates?.peers.get(name)
  const number = (head: string, wide: number, text: (peer: PeerStatus) => string): Column<PeerStatus> => ({
    head,
    columns: wide,
    side: 'right',
    text,
  })
  const state: Column<PeerStatus> = {
    head: 'state',
    columns: 6,
    text: (peer) => peer.state,
    paint: (text, peer) => STATE_COLORS[peer.state](text),
  }
  const inOrder: readonly (Column<PeerStatus> & { readonly importance: number })[] = [
    { ...state, importance: 1 },
    { ...number('by', 7, (peer) => peer.datapath.by), importance: 5 },
    { ...number('path MTU', 8, (peer) => String(peer.path_mtu?.bytes ?? '')), importance: 6 },
    { ...number('out bit/s', 9, (peer) => rate(of(peer)?.outbound.bits)), importance: 2 },
    { ...number('in bit/s', 8, (peer) => rate(of(peer)?.inbound.bits)), importance: 3 },
    { ...number('drops/s', 7, (peer) => rate(of(peer)?.dropped)), importance: 4 },
    { ...number('out frames/s', 12, (peer) => rate(of(peer)?.outbound.frames)), importance: 7 },
    { ...number('in frames/s', 11, (peer) => rate(of(peer)?.inbound.frames)), importance: 8 },
    {
      ...number('dropped', 7, (peer) => si(peer.outbound.dropped + peer.inbound.dropped, '')),
      importance: 9,
    },
    {
      ...number('heard', 14, ({ heard_s }) => (heard_s === null ? '' : `${duration(heard_s)} ago`)),
      importance: 10,
    },
    {
      ...number('round trip', 10, ({ rtt_ms }) => (rtt_ms == null ? '' : `${milliseconds(rtt_ms)} ms`)),
      importance: 11,
    },
    {
      ...number('bit/s, both ways', BARS, ({ name }) => sparkline(bothWays(peerHistory.get(name)), BARS)),
      importance: 12,
    },
  ]
  const longest = Math.max(LEAST_NAME, ...report.peers.map(({ name }) => stringWidth(name)))
  const wanted = (least: number) => (it: { importance: number }) => {
    const upTo = inOrder.filter(({ importance }) => importance <= it.importance)
    return 2 + least + 2 + tableColumns(upTo) <= columns
  }
  // At 80 columns a name gets what the first six columns leave.
  const kept = inOrder.filter((it) =>
    it.importance <= 6 ? wanted(LEAST_NAME)(it) : wanted(Math.min(longest, 24))(it),
  )
  const left = columns - 2 - tableColumns(kept) - 2
  return [{ head: 'peer', columns: Math.max(1, Math.min(left, longest)), text: ({ name }) => name }, ...kept]
}

function bothWays(
  history: { outbound: readonly number[]; inbound: readonly number[] } | undefined,
): number[] {
  return (history?.outbound ?? []).map((bits, index) => bits + (history?.inbound[index] ?? 0))
}
