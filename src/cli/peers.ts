import type { Command } from 'commander'
import { askStatus } from '../command/client.js'
import type { PeerState } from '../control/peer/liveness.js'
import type { PeerStatus, StatusReport } from '../control/status.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { fittedTable, terminalColumns, wrapped } from './fitted.js'
import { duration, milliseconds, si } from './table.js'
import { show, type WatchFlags } from './watch.js'
import { mayBeKernel, workerComplaint } from './worker-complaint.js'

export function addPeers(program: Command): void {
  takesDevice(program.command('peers'))
    .summary('show the other hosts')
    .description(
      'Shows each peer of a running tunnel: its address, its state, its traffic, and what is wrong.',
    )
    .option('--json', 'print JSON also on a terminal')
    .option('--watch', 'print it again every second')
    .action(peers)
}

async function peers(argument: string | undefined, flags: WatchFlags & { dev?: string }): Promise<void> {
  const device = await chosenDevice('peers', argument, flags.dev)
  await show(
    flags,
    () => askStatus(device),
    (report) => renderPeers(report, terminalColumns()),
    ({ peers }) => peers,
  )
}

export const STATE_COLORS: Readonly<Record<PeerState, (text: string) => string>> = {
  new: stdoutColors.dim,
  up: stdoutColors.green,
  silent: stdoutColors.yellow,
  down: stdoutColors.red,
}

/** Columns that a narrow terminal has no room for, the least useful first. A complaint says why the workers carry a peer, if they need not. */
const LEAST = ['carried by', 'MTU', 'heard', 'dropped', 'round trip', 'from it', 'to it']

type PeersReport = Pick<StatusReport, 'mtu_bytes' | 'mtu_by' | 'peers'>

/** The peers as text for a person, with a line for each thing that is wrong. */
export function renderPeers(report: PeersReport, columns = Number.POSITIVE_INFINITY): string {
  const { peers } = report
  const choice = peers.some(mayBeKernel)
  const introduced = peers.some(({ introduced_by }) => introduced_by != null)
  const rows = peers.map((peer) => [
    peer.name,
    STATE_COLORS[peer.state](peer.state),
    peer.heard_s === null ? '' : `${duration(peer.heard_s)} ago`,
    peer.rtt_ms == null ? '' : `${milliseconds(peer.rtt_ms)} ms`,
    peer.endpoint ?? '',
    ...(introduced ? [wayTo(peer)] : []),
    peer.mtu_bytes === null ? '' : String(peer.mtu_bytes),
    ...(choice ? [peer.datapath.by] : []),
    `${si(peer.outbound.frames, '')} ${si(peer.outbound.bytes, 'B')}`,
    `${si(peer.inbound.frames, '')} ${si(peer.inbound.bytes, 'B')}`,
    String(peer.outbound.dropped + peer.inbound.dropped),
  ])
  const head = [
    'peer',
    'state',
    'heard',
    'round trip',
    'endpoint',
    ...(introduced ? ['path'] : []),
    'MTU',
    ...(choice ? ['carried by'] : []),
    'to it',
    'from it',
    'dropped',
  ]
  const wrong = peers.flatMap((peer) => complaints(peer, report).map((text) => `${peer.name}: ${text}`))
  return [
    fittedTable([head, ...rows], { columns, least: LEAST }),
    ...[
      ...invited(peers),
      ...introductions(peers),
      ...relays(peers),
      ...wrong.map((text) => stdoutColors.yellow(`! ${text}`)),
    ].map((text) => wrapped(text, columns)),
  ].join('\n')
}

/** A line with the names of those whom this host has invited. An older tunnel says nothing of that. */
function invited(peers: readonly PeerStatus[]): string[] {
  const names = peers.filter(({ source }) => source === 'member').map(({ name }) => name)
  return names.length === 0 ? [] : [stdoutColors.dim(`invited by this host: ${names.join(', ')}`)]
}

/** A line for each introducer, with the names of those that it has introduced. */
function introductions(peers: readonly PeerStatus[]): string[] {
  const introducers = new Set(peers.flatMap(({ introduced_by }) => introduced_by ?? []))
  return [...introducers].map((by) => {
    const names = peers.filter(({ introduced_by }) => introduced_by === by).map(({ name }) => name)
    return stdoutColors.dim(`introduced by ${by}: ${names.join(', ')}`)
  })
}

/** Whether a peer is reached directly, in a few words; '' if it is not reached. */
export function wayTo({ endpoint, relayed }: PeerStatus): string {
  // Who asks an older tunnel hears nothing of relays.
  if (relayed != null) return `relayed by ${relayed.by}`
  return endpoint === null ? '' : 'direct'
}

/** A line for each peer that is relayed, with the reason. */
function relays(peers: readonly PeerStatus[]): string[] {
  return peers.flatMap(({ name, relayed }) =>
    relayed == null ? [] : [stdoutColors.dim(`${name} is relayed by ${relayed.by}, because ${relayed.why}`)],
  )
}

/** What is wrong with a peer: sentences without a full stop. */
export function complaints(peer: PeerStatus, { mtu_bytes, mtu_by, peers }: PeersReport): string[] {
  const { host, trouble, underlay, state, heard_s, keepalives, privacy } = peer
  const isPlaced = wayTo(peer) !== ''
  if (peer.source === 'invitation')
    return ['it is no host, but the line of an invitation; udptun-fast members shows who may still join']
  // Who asks an older tunnel hears nothing of introductions.
  if (!isPlaced && trouble === null && peer.introduced_by != null)
    return [`${peer.introduced_by} has introduced it, and it has not answered at any place that is known`]
  if (!isPlaced && privacy !== null && host === peer.name) return ['it has not come yet']
  if (!isPlaced) return [`not found yet: ${trouble ?? `${host} is being looked up`}`]
  const found: string[] = trouble === null ? [] : [trouble]
  const byWorkers = workerComplaint(peer)
  if (byWorkers !== undefined) found.push(byWorkers)
  if (underlay?.interface === null) found.push('there is no route to it')
  if (privacy?.handshake_s === null) found.push('no handshake with it, so no keys to send it anything')
  if (state === 'new') found.push('nothing has come from it yet')
  if (state === 'down' && heard_s !== null)
    found.push(`it answers no keepalives, and was last heard ${duration(heard_s)} ago`)
  if (state === 'silent' && keepalives !== true)
    found.push('frames went to it, and nothing came back for a while')
  const carried = peer.carried_mtu_bytes
  // A bridge's frames may be longer than any path carries.
  if (carried !== null && carried < mtu_bytes && mtu_by !== 'bridge')
    found.push(`its path carries ${carried} bytes, less than the device's MTU of ${mtu_bytes}`)
  if (!peer.takes_runs && peers.some(({ takes_runs }) => takes_runs))
    found.push('the kernel takes one datagram a call on the way to it (no UDP_SEGMENT)')
  const most = Math.max(...peers.map((other) => other.mtu_bytes ?? 0))
  if (peer.mtu_bytes !== null && peer.mtu_bytes < most && state !== 'down')
    found.push(`its path keeps the MTU of all peers at ${peer.mtu_bytes}, but the others carry ${most}`)
  return found
}
