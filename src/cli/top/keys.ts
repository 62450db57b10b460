import { detailsPage } from './details.js'
import { type Sort, sortedPeers, type TopState } from './model.js'
import type { Size } from './size.js'

/** A key, as `readline.emitKeypressEvents` of Node.js gives it. */
export interface Key {
  /** Such as `up`, `return`, `q`; undefined for most signs. */
  readonly name?: string | undefined
  /** What the terminal has sent for it. */
  readonly sequence?: string | undefined
  readonly ctrl?: boolean | undefined
}

/** What the help says of the keys. */
export const KEYS = [
  ['↑ ↓, j k', 'choose a peer; page up and down go 10 peers, home and end all of them'],
  ['enter', 'show the details of the chosen peer; enter or esc leads back'],
  ['in details', 'page up, page down and space scroll, home and end go to its ends; ↑ ↓ choose another peer'],
  ['r', 'sort the peers by rate: the busiest comes first'],
  ['n', 'sort them by name'],
  ['s', 'sort them by state: the worst comes first'],
  ['d', 'sort them by drops: the one that loses most comes first'],
  ['?', 'show this help; any key leads back'],
  ['q', 'quit'],
] as const

const SORT_KEYS: Readonly<Record<string, Sort>> = { r: 'rate', n: 'name', s: 'state', d: 'drops' }

const PAGE_PEERS = 10

/** How far a key scrolls the details, in parts of the screen. */
const SCROLLS: Readonly<Record<string, number>> = {
  pageup: -0.5,
  pagedown: 0.5,
  space: 0.5,
  home: Number.NEGATIVE_INFINITY,
  end: Number.POSITIVE_INFINITY,
}

/** How far a key moves the choice. */
const MOVES: Readonly<Record<string, number>> = {
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  pageup: -PAGE_PEERS,
  pagedown: PAGE_PEERS,
  home: Number.NEGATIVE_INFINITY,
  end: Number.POSITIVE_INFINITY,
}

/**
 * The state after a key was pressed, or what else is to be done. A key that means nothing changes nothing.
 * @param room what the view has of the screen
 */
export function press(
  state: TopState,
  { name = '', sequence, ctrl }: Key,
  room: Size,
): TopState | 'quit' | 'suspend' {
  if (ctrl) return name === 'c' ? 'quit' : name === 'z' ? 'suspend' : state
  if (name === 'q') return 'quit'
  if (state.view === 'help') return { ...state, view: 'list' }
  if (sequence === '?' || name === 'h') return { ...state, view: 'help' }
  if (name === 'return' || name === 'enter')
    return {
      ...state,
      view: state.view === 'list' && state.chosen !== undefined ? 'details' : 'list',
      scrolled: 0,
    }
  if (name === 'escape' || name === 'backspace') return { ...state, view: 'list' }
  if (Object.hasOwn(SORT_KEYS, name)) return { ...state, sort: SORT_KEYS[name] }
  if (state.view === 'details' && Object.hasOwn(SCROLLS, name)) return scrolled(state, SCROLLS[name], room)
  if (Object.hasOwn(MOVES, name)) return moved(state, MOVES[name])
  return state
}

function moved(state: TopState, by: number): TopState {
  const peers = sortedPeers(state)
  const place = peers.findIndex(({ name }) => name === state.chosen)
  const target = Math.min(Math.max(0, place + by), peers.length - 1)
  const chosen = peers[target]?.name
  return { ...state, chosen, scrolled: chosen === state.chosen ? state.scrolled : 0 }
}

function scrolled(state: TopState, screens: number, room: Size): TopState {
  const { above, below } = detailsPage(state, room)
  const by = Math.sign(screens) * Math.max(1, Math.round(Math.abs(screens) * room.rows))
  return { ...state, scrolled: Math.min(Math.max(0, above + by), above + below) }
}
