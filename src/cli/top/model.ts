import type { PeerStatus, StatusReport } from '../../control/status.js'
import { type Rates, ratesBetween, type WayRate } from './rates.js'

/** How the peers are sorted: the busiest, the first letter, the worst, or the one that loses most comes first. */
export const SORTS = ['rate', 'name', 'state', 'drops'] as const

export type Sort = (typeof SORTS)[number]

/** Rates of the last seconds, the newest last. NaN where a rate is not known. */
export interface History {
  readonly outbound: readonly number[]
  readonly inbound: readonly number[]
  readonly dropped: readonly number[]
}

/** All that the screen is made of. */
export interface TopState {
  readonly report: StatusReport
  /** Undefined until there are two reports of the same run. */
  readonly rates: Rates | undefined
  readonly history: History
  /** By the peer's name. */
  readonly peerHistory: ReadonlyMap<string, History>
  readonly sort: Sort
  /** The name of the chosen peer; undefined if there is no peer. It stays chosen wherever it is sorted. */
  readonly chosen: string | undefined
  readonly view: 'list' | 'details' | 'help'
  /** How many lines of the details are above the screen, if there are so many. */
  readonly scrolled: number
}

/** As many as the sparkline of the widest screen may show. */
const HISTORY_LENGTH = 240

const NO_HISTORY: History = { outbound: [], inbound: [], dropped: [] }

export function firstState(report: StatusReport): TopState {
  const state: TopState = {
    report,
    rates: undefined,
    history: NO_HISTORY,
    peerHistory: new Map(),
    sort: 'rate',
    chosen: undefined,
    view: 'list',
    scrolled: 0,
  }
  return { ...state, chosen: sortedPeers(state)[0]?.name }
}

/** The state when another report has come. */
export function advance(state: TopState, report: StatusReport): TopState {
  const rates = ratesBetween(state.report, report)
  const peerHistory = new Map(
    report.peers.map(({ name }) => [
      name,
      continued(state.peerHistory.get(name) ?? NO_HISTORY, rates?.peers.get(name)),
    ]),
  )
  const next = { ...state, report, rates, history: continued(state.history, rates), peerHistory }
  const isThere = report.peers.some(({ name }) => name === state.chosen)
  if (isThere) return next
  // Whoever takes the place of a peer that is gone is chosen.
  const place = sortedPeers(state).findIndex(({ name }) => name === state.chosen)
  const peers = sortedPeers(next)
  return { ...next, chosen: peers[Math.min(Math.max(0, place), peers.length - 1)]?.name, scrolled: 0 }
}

interface Moment {
  readonly outbound: WayRate
  readonly inbound: WayRate
  readonly dropped: number
}

function continued(history: History, moment: Moment | undefined): History {
  const add = (values: readonly number[], value: number = Number.NaN) => [
    ...values.slice(1 - HISTORY_LENGTH),
    value,
  ]
  return {
    outbound: add(history.outbound, moment?.outbound.bits),
    inbound: add(history.inbound, moment?.inbound.bits),
    dropped: add(history.dropped, moment?.dropped),
  }
}

const WORST_FIRST = { down: 0, silent: 1, new: 2, up: 3 } as const

/** The peers in the order in which they are shown. Those that are equal stay in the order of their names. */
export function sortedPeers({ report, rates, sort }: Pick<TopState, 'report' | 'rates' | 'sort'>) {
  const byName = new Intl.Collator('en', { numeric: true })
  const rate = ({ name }: PeerStatus) => {
    const of = rates?.peers.get(name)
    return of === undefined ? 0 : of.outbound.bits + of.inbound.bits
  }
  const drops = (peer: PeerStatus) => rates?.peers.get(peer.name)?.dropped ?? 0
  const all = ({ outbound, inbound }: PeerStatus) => outbound.dropped + inbound.dropped
  const orders: Record<Sort, (a: PeerStatus, b: PeerStatus) => number> = {
    rate: (a, b) => rate(b) - rate(a),
    name: () => 0,
    state: (a, b) => WORST_FIRST[a.state] - WORST_FIRST[b.state],
    drops: (a, b) => drops(b) - drops(a) || all(b) - all(a),
  }
  return [...report.peers].sort((a, b) => orders[sort](a, b) || byName.compare(a.name, b.name))
}

/** The chosen peer, and its place among the sorted ones. */
export function chosenPeer(
  state: TopState,
): { readonly peer: PeerStatus; readonly place: number } | undefined {
  const peers = sortedPeers(state)
  const place = peers.findIndex(({ name }) => name === state.chosen)
  return place < 0 ? undefined : { peer: peers[place], place }
}
