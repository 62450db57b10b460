import { isHost } from '../control/status.js'
import type { TunnelSummary } from '../control/summary.js'

/** So many peers are named. */
const NAMED = 3

/** A tunnel's state as one line for a person, such as `tap0: 2 of 3 peers up, not up: office (silent)`. */
export function statusText({ device, peers: all, listenTrouble, reloadTrouble }: TunnelSummary): string {
  const peers = all.filter(isHost)
  const others = peers.filter(({ state }) => state !== 'up')
  const up = peers.length - others.length
  const named = others.slice(0, NAMED).map(({ name, state }) => `${name} (${WORDS[state] ?? state})`)
  if (others.length > NAMED) named.push(`${others.length - NAMED} more`)
  const count =
    peers.length === 0 ? 'no peers' : `${up} of ${peers.length} ${peers.length === 1 ? 'peer' : 'peers'} up`
  const parts = [count, ...(named.length === 0 ? [] : [`not up: ${named.join(', ')}`])]
  if (listenTrouble !== undefined) parts.push(`nothing is received: ${listenTrouble}`)
  if (reloadTrouble !== undefined) parts.push(`not reloaded: ${reloadTrouble}`)
  return `${device}: ${parts.join('; ')}`
}

const WORDS: Readonly<Record<string, string>> = { new: 'not heard yet' }
