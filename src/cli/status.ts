import type { Command } from 'commander'
import { askStatus } from '../command/client.js'
import { WORKER_REASONS } from '../control/datapath/reason.js'
import { FAULT_PLACES, type FaultPlace, LINE_LOSSES, type LineLoss } from '../control/faults.js'
import { firstFew } from '../control/first-few.js'
import { OFFLOADS } from '../control/offload.js'
import type { PathMtuHow, PathMtuStatus } from '../control/path-mtu/path-mtu.js'
import { PEER_STATES } from '../control/peer/liveness.js'
import { DROP_REASONS, type DropReason, KERNEL_DROP_REASONS, type StatusReport } from '../control/status.js'
import { usageError } from '../errors.js'
import { RT_TABLE_MAIN } from '../linux/constants.js'
import { check } from './check.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { examples } from './examples.js'
import { fittedTable, tableWithText, terminalColumns, wrapped } from './fitted.js'
import { endIfOutputFails } from './output.js'
import { duration, milliseconds, si } from './table.js'
import { show, type WatchFlags } from './watch.js'

const EXAMPLES = `
Examples:
  udptun-fast status                 the one tunnel of this host
  udptun-fast status wg0             the tunnel on wg0
  udptun-fast status --watch         its rates, every second
  udptun-fast status --json | jq .drops
  udptun-fast status --check         exit code 1, and why, if a peer is down
`

export function addStatus(program: Command): void {
  takesDevice(program.command('status'))
    .summary('show a running tunnel')
    .description('Shows what a running tunnel does and what it dropped, and why. JSON when piped.')
    .option('--json', 'print JSON also on a terminal')
    .option('--watch', 'print it again every second, with rates')
    .option('--check', 'print one line; exit with 1 if a peer is down, or the tunnel does not work')
    .addHelpText('after', examples(EXAMPLES))
    .action(status)
}

interface Flags extends WatchFlags {
  readonly dev?: string
  readonly check?: boolean
}

async function status(argument: string | undefined, flags: Flags): Promise<void> {
  if (flags.check && (flags.json || flags.watch))
    throw usageError('--check prints one line; leave --json and --watch out')
  const device = await chosenDevice('status', argument, flags.dev)
  if (flags.check) {
    endIfOutputFails()
    process.stdout.write(`${await check(device)}\n`)
    return
  }
  await show(
    flags,
    () => askStatus(device),
    (report, before) => render(report, before, terminalColumns()),
  )
}

/** The report as text for a person. With an earlier report, also the rates between the two. */
export function render(
  report: StatusReport,
  before?: StatusReport,
  columns = Number.POSITIVE_INFINITY,
): string {
  const facts = [
    `${stdoutColors.bold(report.device)} ${report.mode}${vxlanText(report)}${netnsText(report)}  ${report.local.join(', ') || 'no address'}  MTU ${report.mtu_bytes}${mtuBy(report)}  up ${duration(report.uptime_s)}`,
    peersLine(report),
    ...carrierLines(report),
    ...listenLines(report),
    ...mappingLines(report),
    ...discoveryLines(report),
    ...routeLines(report),
    privacyLine(report),
    ...pathLines(report),
    ...faultLines(report),
    offloadLine(report),
  ]
  const tables = [
    trafficTable(report, columns, before),
    workerTable(report, columns),
    dropTable(report, columns, before),
  ]
  return [...facts.map((line) => wrapped(line, columns)), ...tables.map((it) => `\n${it}`)].join('\n')
}

function vxlanText({ vni }: StatusReport): string {
  return vni === null ? '' : ` VXLAN ${vni}`
}

/** Where the device is, if not where the tunnel's sockets are. */
function netnsText({ netns }: StatusReport): string {
  return netns === null ? '' : ` ${stdoutColors.dim('in')} ${netns}`
}

/** What decides on the MTU, if not the paths, and what they carry. */
function mtuBy({ mtu_by, bridge, peers }: StatusReport): string {
  const port = bridge === null ? '' : `port of ${bridge}`
  const hand = mtu_by === 'hand' ? 'set by hand' : ''
  const carried = Math.min(
    ...peers.map(({ carried_mtu_bytes }) => carried_mtu_bytes ?? Number.POSITIVE_INFINITY),
  )
  const paths = (port || hand) && carried < Number.POSITIVE_INFINITY ? `the paths carry ${carried}` : ''
  const text = [port, hand, paths].filter((it) => it !== '').join(', ')
  return text === '' ? '' : ` ${stdoutColors.dim(`(${text})`)}`
}

/** Where a router lets in what is for this host, if one is asked. */
function mappingLines({ port_mapping: mapping }: StatusReport): string[] {
  if (mapping == null) return []
  const { by, external, gateway, trouble } = mapping
  if (external === null)
    return [`${stdoutColors.dim('no port mapping yet:')} ${trouble ?? `${gateway} is asked`}`]
  return [`${stdoutColors.dim('port mapping')} ${external} ${stdoutColors.dim(`by ${gateway} (${by})`)}`]
}

/** Where others are found, if that is in the settings, and what of it was refused. */
function discoveryLines({ discovery }: StatusReport): string[] {
  if (discovery == null) return []
  const { dim, green, red, yellow } = stdoutColors
  const { source, state, since_s, trouble, endpoint, members, refused } = discovery
  const states = {
    starting: yellow(`is asked at ${endpoint}`),
    connected: `${green('in touch')} at ${endpoint} ${dim(`for ${duration(since_s)}`)}`,
    away: `${red(`away for ${duration(since_s)}`)} ${trouble ?? ''}`.trimEnd(),
  }
  const reasons = Object.entries(refused).filter(([, count]) => count > 0)
  const bad = reasons.map(([reason, count]) => `${count} ${reason.replaceAll('_', ' ')}`)
  const wrong = bad.length === 0 ? '' : `  ${yellow(`refused: ${bad.join(', ')}`)}`
  return [`${dim(source)} ${states[state]}  ${members.known} members${wrong}`]
}

/** The peer, if there is only one; otherwise how many peers are in each state. */
function peersLine({ peers }: StatusReport): string {
  if (peers.length !== 1) {
    return `${stdoutColors.dim('to')} ${peers.length} peers: ${statesText(peers)}  ${stdoutColors.dim('(udptun-fast peers shows each)')}`
  }
  const [{ endpoint, from, underlay, heard_s, rtt_ms }] = peers
  const by =
    underlay === null
      ? ''
      : `${underlay.interface ?? stdoutColors.red('no route')} (MTU ${underlay.mtu_bytes})`
  const heard = heard_s === null ? stdoutColors.yellow('not heard yet') : `heard ${duration(heard_s)} ago`
  const roundTrip = rtt_ms == null ? '' : `  ${stdoutColors.dim('round trip')} ${milliseconds(rtt_ms)} ms`
  const source = from === null ? '' : `${stdoutColors.dim('from')} ${from} `
  return `${stdoutColors.dim('to')} ${endpoint ?? stdoutColors.yellow('not found yet')} ${source}${stdoutColors.dim('by')} ${by}  ${heard}${roundTrip}`
}

/** How many peers are in each state: `2 up, 1 down`. */
export function statesText(peers: StatusReport['peers']): string {
  const states = PEER_STATES.map(
    (state) => [state, peers.filter((peer) => peer.state === state).length] as const,
  )
  return states
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')
}

/** Who carries the known frames of each peer, if it may be the kernel. */
function carrierLines({ peers }: StatusReport): string[] {
  const may = peers.filter(({ datapath }) => datapath.reason !== 'setting')
  if (may.length === 0) return []
  const kernel = may.filter(({ datapath }) => datapath.by === 'kernel').length
  const whys = [...new Set(may.flatMap(({ datapath }) => datapath.reason ?? []))].map(
    (it) => WORKER_REASONS[it],
  )
  const workers = whys.length === 0 ? '' : `  by the workers because ${whys.join(', ')}`
  const many = peers.length === 1 ? '' : ` ${kernel} of ${peers.length} peers`
  return [`${stdoutColors.dim('carried')}${kernel === 0 ? '' : ` by the kernel${many}`}${workers}`]
}

function listenLines({ listen, listen_trouble: trouble }: StatusReport): string[] {
  return trouble === null ? [] : [stdoutColors.red(`waiting to listen on ${listen}: ${trouble}`)]
}

/** Where the routes to the peers are, and what lets the tunnel's own datagrams pass by them. */
function routeLines({ device, tables, fwmark, missing_routes: missing }: StatusReport): string[] {
  const { dim, red } = stdoutColors
  const lacks = missing.length === 0 ? [] : [red(`no route leads to ${device} for ${firstFew(missing)}`)]
  const routes = tables.length === 0 ? [] : [`${dim('routes in table')} ${tables.map(tableName).join(', ')}`]
  const mark = fwmark === null ? [] : [`${dim('mark')} 0x${fwmark.toString(16)}`]
  const parts = [...routes, ...mark]
  return [...(parts.length === 0 ? [] : [parts.join('  ')]), ...lacks]
}

const tableName = (table: number) => (table === RT_TABLE_MAIN ? 'main' : String(table))

/**
 * What the path to the only peer carries and how that is known. Also what was done with frames too long for a
 * path.
 */
function pathLines({ peers, path }: StatusReport): string[] {
  const done = [
    [path.fragmented, 'frames sent in fragments'],
    [path.too_big_answers, 'frames too long and answered with ICMP'],
    [path.mss_clamped, 'SYNs clamped'],
  ] as const
  const counts = done.filter(([count]) => count > 0).map(([count, what]) => `${si(count, '')} ${what}`)
  const known = peers.length === 1 && peers[0].path_mtu !== null ? [pathText(peers[0].path_mtu)] : []
  const text = [...known, ...counts].join('  ')
  return text === '' ? [] : [`${stdoutColors.dim('path MTU')} ${text}`]
}

/** How a path MTU is known, as text for a person. */
const KNOWN: Readonly<Record<PathMtuHow, string>> = {
  acknowledged: 'acknowledged',
  reached: 'found by ICMP, the far end answered',
  told: 'as ICMP says',
  previous: 'that of the path before',
  assumed: "the interface's, because nothing better is known",
  floor: 'the least there is, and even that does not pass',
}

/** What a path carries, how that is known, and when it is looked for again. */
export function pathText({ bytes, how, found_s, state, next_s }: PathMtuStatus): string {
  const found = found_s === null ? '' : `, found ${duration(found_s)} ago`
  const busy = state === 'searching' || state === 'tracing'
  const next = busy ? 'being looked for now' : `looked for again in ${duration(next_s)}`
  const text = how === 'assumed' || how === 'floor' ? stdoutColors.yellow(KNOWN[how]) : KNOWN[how]
  return `${stdoutColors.bold(String(bytes))}, ${text}${found}; ${next}`
}

function privacyLine({ privacy, peers }: StatusReport): string {
  if (privacy === null)
    return stdoutColors.yellow('not private: anybody on the way can read it, and add frames to it')
  const ages = peers.flatMap(({ privacy }) => privacy?.handshake_s ?? [])
  const keys = `${ages.length} of ${peers.length} with keys`
  const [first] = ages
  const age = peers.length === 1 && first !== undefined ? `keys ${duration(first)} old` : keys
  const publicKey =
    privacy.public_key === null
      ? stdoutColors.yellow('no private key')
      : `${stdoutColors.dim('public key')} ${privacy.public_key}`
  return `${stdoutColors.dim('private by')} ${privacy.crypto}  ${ages.length === 0 ? stdoutColors.yellow('no keys yet') : age}  ${publicKey}`
}

/** The faults, and the lines that the log has lost. Empty if there were none. */
function faultLines({ faults }: StatusReport): string[] {
  const places = Object.entries(faults.places).map(
    ([place, count]) => `${count} in ${FAULT_PLACES[place as FaultPlace] ?? place}`,
  )
  const lost = Object.entries(faults.log_lines_lost)
    .filter(([, count]) => count > 0)
    .map(([why, count]) => `${count} ${LINE_LOSSES[why as LineLoss] ?? why}`)
  return [
    ...(places.length === 0
      ? []
      : [`${stdoutColors.red('faults')} ${places.join(', ')}  ${stdoutColors.dim('(the log says which)')}`]),
    ...(lost.length === 0 ? [] : [`${stdoutColors.yellow('log lines lost')} ${lost.join(', ')}`]),
  ]
}

function offloadLine({ offloads }: StatusReport): string {
  const names = (on: boolean) => OFFLOADS.filter((offload) => offloads[offload] === on).join(' ')
  const off = names(false)
  return `${stdoutColors.dim('offloads')} ${names(true) || 'none'}${off === '' ? '' : stdoutColors.yellow(`  off: ${off}`)}`
}

function trafficTable(report: StatusReport, columns: number, before?: StatusReport): string {
  const seconds = before === undefined ? undefined : report.uptime_s - before.uptime_s
  const row = (key: 'outbound' | 'inbound', superFrames: number) => {
    const now = report[key]
    const cells = [key, si(now.frames, ''), si(now.bytes, 'B'), si(superFrames, '')]
    if (before === undefined || seconds === undefined) return cells
    const frames = (now.frames - before[key].frames) / seconds
    const bits = ((now.bytes - before[key].bytes) * 8) / seconds
    return [...cells, si(frames, '/s'), si(bits, 'bit/s')]
  }
  const rates = before === undefined ? [] : ['frame rate', 'bit rate']
  const { read, written } = report.super_frames
  const head = ['traffic', 'frames', 'bytes', 'super-frames', ...rates]
  const least = ['super-frames', 'frames', 'bytes', 'frame rate']
  return fittedTable([head, row('outbound', read), row('inbound', written)], { columns, least })
}

function workerTable({ workers, rings }: StatusReport, columns: number): string {
  const row = (name: 'tap' | 'udp', ring: 'outbound' | 'inbound') => {
    const { syscalls, wake_ups, doorbells, ring_full } = workers[name]
    const { used_bytes, high_water_bytes, bytes } = rings[ring]
    const use = `${Math.round((used_bytes / bytes) * 100)} %, most ${Math.round((high_water_bytes / bytes) * 100)} %`
    return [name, si(syscalls, ''), si(wake_ups, ''), si(doorbells, ''), si(ring_full, ''), use]
  }
  const head = ['worker', 'syscalls', 'wake-ups', 'doorbells', 'ring full', 'ring it fills']
  const least = ['doorbells', 'syscalls', 'wake-ups', 'ring full']
  return fittedTable([head, row('tap', 'outbound'), row('udp', 'inbound')], { columns, least })
}

function dropTable(report: StatusReport, columns: number, before?: StatusReport): string {
  const reasons = (Object.keys(report.drops) as DropReason[]).filter((reason) => report.drops[reason] > 0)
  const { unreachable, too_big, other, unread } = report.icmp
  const more = unread === 0 ? '' : `, ${unread} more than were looked at`
  const icmp = `ICMP errors: ${unreachable} unreachable, ${too_big} too big, ${other} other${more}`
  if (reasons.length === 0)
    return wrapped(`${stdoutColors.green('nothing dropped')}  ${stdoutColors.dim(icmp)}`, columns)
  const rows = reasons.map((reason) => {
    const fresh = before === undefined ? 0 : report.drops[reason] - before.drops[reason]
    const count =
      fresh > 0 ? stdoutColors.red(`${report.drops[reason]} (+${fresh})`) : `${report.drops[reason]}`
    return [reason, count, describe(reason)]
  })
  const all = [['dropped', 'frames', 'because'], ...rows]
  return `${tableWithText(all, columns)}\n${stdoutColors.dim(wrapped(icmp, columns))}`
}

/** What was dropped, or why, as text for a person. */
export function describe(reason: DropReason): string {
  if (reason in DROP_REASONS) return DROP_REASONS[reason as keyof typeof DROP_REASONS][1]
  return KERNEL_DROP_REASONS[reason as keyof typeof KERNEL_DROP_REASONS]
}
