import type { Command } from 'commander'
import pc from 'picocolors'
import { askStatus } from '../command/client.js'
import type { PeerState } from '../control/peer/liveness.js'
import type { PeerStatus, StatusReport } from '../control/status.js'
import { onlyDevice } from './device.js'
import { duration, si, table } from './table.js'
import { show, type WatchFlags } from './watch.js'

export function addPeers(program: Command): void {
  program
    .command('peers')
    .summary('show the other hosts')
    .description('Shows each peer of a running tunnel: where it is, how it is, and what went to and fro.')
    .option('--dev <name>', 'the device (default: the only one)')
    .option('--json', 'print JSON also on a terminal')
    .option('--watch', 'again every second')
    .action(peers)
}

async function peers(flags: WatchFlags & { dev?: string }): Promise<void> {
  const device = flags.dev ?? (await onlyDevice())
  await show(
    flags,
    () => askStatus(device),
    renderPeers,
    ({ peers }) => peers,
  )
}

const COLOURS: Readonly<Record<PeerState, (text: string) => string>> = {
  new: pc.dim,
  up: pc.green,
  silent: pc.yellow,
  down: pc.red,
}

/** The peers as text for a person, with a line for each thing that is wrong. */
export function renderPeers(report: Pick<StatusReport, 'mtu_bytes' | 'peers'>): string {
  const { peers } = report
  const rows = peers.map((peer) => [
    peer.name,
    COLOURS[peer.state](peer.state),
    peer.heard_s === null ? '' : `${duration(peer.heard_s)} ago`,
    peer.endpoint ?? '',
    peer.mtu_bytes === null ? '' : String(peer.mtu_bytes),
    `${si(peer.outbound.frames, '')} ${si(peer.outbound.bytes, 'B')}`,
    `${si(peer.inbound.frames, '')} ${si(peer.inbound.bytes, 'B')}`,
    String(peer.outbound.dropped + peer.inbound.dropped),
  ])
  const head = ['peer', 'state', 'heard', 'endpoint', 'MTU', 'to it', 'from it', 'dropped']
  const wrong = peers.flatMap((peer) => complaints(peer, report).map((text) => `${peer.name}: ${text}`))
  return [table([head, ...rows]), ...wrong.map((text) => pc.yellow(`! ${text}`))].join('\n')
}

/** What is wrong with a peer: sentences without a full stop. */
export function complaints(
  peer: PeerStatus,
  { mtu_bytes, peers }: Pick<StatusReport, 'mtu_bytes' | 'peers'>,
): string[] {
  const { host, endpoint, underlay, state, heard_s, keepalives, privacy } = peer
  if (endpoint === null && privacy !== null && host === peer.name) return ['it has not come yet']
  if (endpoint === null) return [`${host} has not been found: its name does not resolve`]
  const found: string[] = []
  if (underlay?.interface === null) found.push('there is no route to it')
  if (privacy?.handshake_s === null) found.push('no handshake with it, so no keys to send it anything')
  if (state === 'new') found.push('nothing has come from it yet')
  if (state === 'down' && heard_s !== null)
    found.push(`it answers no keepalives, and was last heard ${duration(heard_s)} ago`)
  if (state === 'silent' && keepalives !== true)
    found.push('frames went to it, and nothing came back for a while')
  const carried = peer.carried_mtu_bytes
  if (carried !== null && carried < mtu_bytes)
    found.push(`its path carries ${carried} bytes, less than the device's MTU of ${mtu_bytes}`)
  if (!peer.takes_runs && peers.some(({ takes_runs }) => takes_runs))
    found.push('the kernel takes one datagram a call on the way to it (no UDP_SEGMENT)')
  const most = Math.max(...peers.map((other) => other.mtu_bytes ?? 0))
  if (peer.mtu_bytes !== null && peer.mtu_bytes < most && state !== 'down')
    found.push(`its path holds the MTU at ${peer.mtu_bytes}, where others carry ${most}`)
  return found
}
