import type { Command } from 'commander'
import pc from 'picocolors'
import { askStatus } from '../command/client.js'
import { FAULT_PLACES, type FaultPlace } from '../control/faults.js'
import { OFFLOADS } from '../control/offload.js'
import type { PathMtuHow, PathMtuStatus } from '../control/path-mtu/path-mtu.js'
import { PEER_STATES } from '../control/peer/liveness.js'
import { DROP_REASONS, type DropReason, KERNEL_DROP_REASONS, type StatusReport } from '../control/status.js'
import { onlyDevice } from './device.js'
import { duration, si, table } from './table.js'
import { show, type WatchFlags } from './watch.js'

const EXAMPLES = `
Examples:
  udptun-fast status                 the one tunnel of this host
  udptun-fast status --watch         its rates, every second
  udptun-fast status --json | jq .drops
`

export function addStatus(program: Command): void {
  program
    .command('status')
    .summary('show a running tunnel')
    .description('Shows what a running tunnel does and what it dropped, and why. JSON when piped.')
    .option('--dev <name>', 'the device (default: the only one)')
    .option('--json', 'print JSON also on a terminal')
    .option('--watch', 'again every second, with rates')
    .addHelpText('after', EXAMPLES)
    .action(status)
}

async function status(flags: WatchFlags & { dev?: string }): Promise<void> {
  const device = flags.dev ?? (await onlyDevice())
  await show(flags, () => askStatus(device), render)
}

/** The report as text for a person. With an earlier report, also the rates between the two. */
export function render(report: StatusReport, before?: StatusReport): string {
  const lines = [
    `${pc.bold(report.device)} ${report.mode}  ${report.local.join(', ')}  MTU ${report.mtu_bytes}  up ${duration(report.uptime_s)}`,
    peersLine(report),
    privacyLine(report),
    ...pathLines(report),
    ...faultLines(report),
    offloadLine(report),
    '',
    trafficTable(report, before),
    '',
    workerTable(report),
    '',
    dropTable(report, before),
  ]
  return lines.join('\n')
}

/** The peer, if there is only one; otherwise how many peers are in each state. */
function peersLine({ peers }: StatusReport): string {
  if (peers.length !== 1) {
    const states = PEER_STATES.map(
      (state) => [state, peers.filter((peer) => peer.state === state).length] as const,
    )
    const counts = states.filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`)
    return `${pc.dim('to')} ${peers.length} peers: ${counts.join(', ')}  ${pc.dim('(udptun-fast peers shows each)')}`
  }
  const [{ endpoint, underlay, heard_s }] = peers
  const by =
    underlay === null ? '' : `${underlay.interface ?? pc.red('no route')} (MTU ${underlay.mtu_bytes})`
  const heard = heard_s === null ? pc.yellow('not heard yet') : `heard ${duration(heard_s)} ago`
  return `${pc.dim('to')} ${endpoint ?? pc.yellow('not found yet')} ${pc.dim('by')} ${by}  ${heard}`
}

/**
 * What the path to the only peer carries and how that is known. Also what was done with frames too long for a
 * path.
 */
function pathLines({ peers, path }: StatusReport): string[] {
  const done = [
    [path.fragmented, 'frames sent in fragments'],
    [path.too_big_answers, 'too long and answered so'],
    [path.mss_clamped, 'SYNs clamped'],
  ] as const
  const counts = done.filter(([count]) => count > 0).map(([count, what]) => `${si(count, '')} ${what}`)
  const known = peers.length === 1 && peers[0].path_mtu !== null ? [pathText(peers[0].path_mtu)] : []
  const text = [...known, ...counts].join('  ')
  return text === '' ? [] : [`${pc.dim('path MTU')} ${text}`]
}

/** How a path MTU is known, as text for a person. */
const KNOWN: Readonly<Record<PathMtuHow, string>> = {
  acknowledged: 'acknowledged',
  reached: 'by ICMP, the far end reached',
  told: 'as ICMP says',
  previous: 'that of where the peer was before',
  assumed: "the interface's, for nobody says anything else",
  floor: 'the least there is, and even that does not pass',
}

function pathText({ bytes, how, found_s, state, next_s }: PathMtuStatus): string {
  const found = found_s === null ? '' : `, found ${duration(found_s)} ago`
  const busy = state === 'searching' || state === 'tracing'
  const next = busy ? 'being looked for now' : `looked for again in ${duration(next_s)}`
  const text = how === 'assumed' || how === 'floor' ? pc.yellow(KNOWN[how]) : KNOWN[how]
  return `${pc.bold(String(bytes))}, ${text}${found}; ${next}`
}

function privacyLine({ privacy, peers }: StatusReport): string {
  if (privacy === null) return pc.yellow('not private: anybody on the way can read it, and put in more')
  const ages = peers.flatMap(({ privacy }) => privacy?.handshake_s ?? [])
  const keys = `${ages.length} of ${peers.length} with keys`
  const [first] = ages
  const age = peers.length === 1 && first !== undefined ? `keys ${duration(first)} old` : keys
  return `${pc.dim('private by')} ${privacy.crypto}  ${ages.length === 0 ? pc.yellow('no keys yet') : age}  ${pc.dim('public key')} ${privacy.public_key}`
}

/** Empty if there were no faults. */
function faultLines({ faults }: StatusReport): string[] {
  if (faults.count === 0) return []
  const places = Object.entries(faults.places).map(
    ([place, count]) => `${count} in ${FAULT_PLACES[place as FaultPlace] ?? place}`,
  )
  return [`${pc.red('faults')} ${places.join(', ')}  ${pc.dim('(the log says which)')}`]
}

function offloadLine({ offloads }: StatusReport): string {
  const names = (on: boolean) => OFFLOADS.filter((offload) => offloads[offload] === on).join(' ')
  const off = names(false)
  return `${pc.dim('offloads')} ${names(true) || 'none'}${off === '' ? '' : pc.yellow(`  off: ${off}`)}`
}

function trafficTable(report: StatusReport, before?: StatusReport): string {
  const seconds = before === undefined ? undefined : report.uptime_s - before.uptime_s
  const row = (key: 'outbound' | 'inbound', superFrames: number) => {
    const now = report[key]
    const cells = [key, si(now.frames, ''), si(now.bytes, 'B'), si(superFrames, '')]
    if (before === undefined || seconds === undefined) return cells
    const frames = (now.frames - before[key].frames) / seconds
    const bits = ((now.bytes - before[key].bytes) * 8) / seconds
    return [...cells, si(frames, '/s'), si(bits, 'bit/s')]
  }
  const rates = before === undefined ? [] : ['frames', 'rate']
  const { read, written } = report.super_frames
  const head = ['traffic', 'frames', 'bytes', 'super-frames', ...rates]
  return table([head, row('outbound', read), row('inbound', written)])
}

function workerTable({ workers, rings }: StatusReport): string {
  const row = (name: 'tap' | 'udp', ring: 'outbound' | 'inbound') => {
    const { syscalls, wake_ups, doorbells, ring_full } = workers[name]
    const { used_bytes, high_water_bytes, bytes } = rings[ring]
    const use = `${Math.round((used_bytes / bytes) * 100)} %, most ${Math.round((high_water_bytes / bytes) * 100)} %`
    return [name, si(syscalls, ''), si(wake_ups, ''), si(doorbells, ''), si(ring_full, ''), use]
  }
  return table([
    ['worker', 'syscalls', 'wake-ups', 'doorbells', 'ring full', 'ring it fills'],
    row('tap', 'outbound'),
    row('udp', 'inbound'),
  ])
}

function dropTable(report: StatusReport, before?: StatusReport): string {
  const reasons = (Object.keys(report.drops) as DropReason[]).filter((reason) => report.drops[reason] > 0)
  const { unreachable, too_big, other, unread } = report.icmp
  const more = unread === 0 ? '' : `, ${unread} more than were looked at`
  const icmp = `ICMP errors: ${unreachable} unreachable, ${too_big} too big, ${other} other${more}`
  if (reasons.length === 0) return `${pc.green('nothing dropped')}  ${pc.dim(icmp)}`
  const rows = reasons.map((reason) => {
    const fresh = before === undefined ? 0 : report.drops[reason] - before.drops[reason]
    const count = fresh > 0 ? pc.red(`${report.drops[reason]} (+${fresh})`) : `${report.drops[reason]}`
    return [reason, count, describe(reason)]
  })
  return `${table([['dropped', 'frames', 'because'], ...rows])}\n${pc.dim(icmp)}`
}

function describe(reason: DropReason): string {
  if (reason in DROP_REASONS) return DROP_REASONS[reason as keyof typeof DROP_REASONS][1]
  return KERNEL_DROP_REASONS[reason as keyof typeof KERNEL_DROP_REASONS]
}
