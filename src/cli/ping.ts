import { type Command, InvalidArgumentError } from 'commander'
import { ask, askStatus } from '../command/client.js'
import { splitPort } from '../config/addresses.js'
import type { PathMtuStatus } from '../control/path-mtu/path-mtu.js'
import { familyOf } from '../control/peer/underlay.js'
import { leastPingBytes, MOST_PACKET_BYTES, type PingReport, pingSizeMistake } from '../control/pings.js'
import type { StatusReport } from '../control/status.js'
import { encapFor } from '../encap/encap.js'
import { UserError, usageError } from '../errors.js'
import { KernelError } from '../linux/errno.js'
import { ECHO_DATA_BYTES } from '../linux/icmp.js'
import { ICMP_HEADER_BYTES } from '../wire/icmp.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../wire/ip.js'
import { chosenDevice } from './device.js'
import { examples } from './examples.js'
import { end } from './fail.js'
import { endIfOutputFails, outputWritten } from './output.js'
import { Echoes } from './ping/echoes.js'
import { PingStatistics } from './ping/statistics.js'
import { type PingTarget, pingTarget } from './ping/target.js'
import { pingHead, pingLine, pingSummary } from './ping/text.js'

const EXAMPLES = `
Examples:
  udptun-fast ping office            until Ctrl-C
  udptun-fast ping office -c 5       five times
  udptun-fast ping office -s 1500    do packets of 1500 bytes pass?
  udptun-fast ping 10.9.0.3          the peer that has this address inside the tunnel
`

export function addPing(program: Command): void {
  program
    .command('ping')
    .summary('ask a peer for an answer, and show how long it takes')
    .description(
      "Asks a peer through a running tunnel, by the tunnel's own keepalives, and shows each round trip, the loss and the path MTU each way. A WireGuard peer answers none, so it is asked by ICMP inside the tunnel. JSON, a line for each ping, when piped. Exit code 1 if nothing is answered.",
    )
    .argument('[peer]', 'its name, host, endpoint or an address inside the tunnel (default: the only peer)')
    .option('-c, --count <n>', 'stop after so many pings (default: go on until Ctrl-C)', countOf)
    .option('-i, --interval <s>', 'seconds from one ping to the next, at least 0.01', secondsOf(0.01), 1)
    .option(
      '-s, --size <bytes>',
      'length of the whole IP packet on the underlay, as a path MTU counts it (default: the shortest)',
      sizeOf,
    )
    .option('-W, --timeout <s>', 'how many seconds to wait for an answer', secondsOf(0.001), 2)
    .option('-d, --dev <name>', 'the device of the tunnel (default: the only one)')
    .option('--json', 'print JSON also on a terminal')
    .addHelpText('after', examples(EXAMPLES))
    .action(ping)
}

interface Flags {
  readonly count?: number
  readonly interval: number
  readonly size?: number
  readonly timeout: number
  readonly dev?: string
  readonly json?: boolean
}

/** The longest interval or timeout, in seconds. */
const MOST_SECONDS = 3_600

function countOf(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError('Write a number of pings, such as 5.')
  return Number(text)
}

function secondsOf(least: number): (text: string) => number {
  return (text) => {
    const seconds = /^\d+(\.\d+)?$|^\.\d+$/.test(text) ? Number(text) : Number.NaN
    if (!(seconds >= least && seconds <= MOST_SECONDS))
      throw new InvalidArgumentError(`Write seconds, from ${least} to ${MOST_SECONDS}.`)
    return seconds
  }
}

function sizeOf(text: string): number {
  const bytes = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(bytes >= 1 && bytes <= MOST_PACKET_BYTES))
    throw new InvalidArgumentError(`Write a number of bytes up to ${MOST_PACKET_BYTES}, such as 1500.`)
  return bytes
}

/** Sends one ping, and resolves when it has come to its end. */
type Ask = () => Promise<PingReport>

async function ping(asked: string | undefined, flags: Flags): Promise<void> {
  const device = await chosenDevice(
    asked === undefined ? 'ping --dev' : `ping ${asked} --dev`,
    undefined,
    flags.dev,
  )
  const report = await askStatus(device)
  const target = pingTarget(report, asked)
  endIfOutputFails()
  const json = flags.json === true || !process.stdout.isTTY
  const statistics = new PingStatistics()
  let back: number | null = null
  let sequence = 0
  let isFirst = true
  const show = (number: number, outcome: PingReport) => {
    statistics.add(outcome.answer === 'answered' ? outcome.rtt_ms : undefined)
    if (outcome.answer === 'answered') back = outcome.path_mtu_back_bytes
    if (json) print(toJson({ peer: target.peer.name, sequence: number, ...outcome }))
    else {
      if (isFirst) print(pingHead(target, device, outcome.packet_bytes))
      print(pingLine(number, outcome))
    }
    isFirst = false
  }
  const stopped = stopSignal()
  using asker = askerOf(device, report, target, flags)
  let failure: unknown
  await many(flags, stopped, async () => {
    const number = ++sequence
    const outcome = await asker.ask()
    if (!stopped.aborted) show(number, outcome)
  }).catch((error) => {
    failure = error
  })
  if (failure !== undefined && statistics.sent === 0) throw failure
  // The tunnel may be gone by now. What it has answered counts.
  const last = await askStatus(device).catch(() => report)
  const to = knownBytes(last.peers.find(({ name }) => name === target.peer.name)?.path_mtu)
  if (json) print(toJson(summaryOf(target, statistics, { to, back })))
  // Whatever the terminal shows of Ctrl-C stays in its line.
  else
    for (const line of ['', ...pingSummary(statistics, { to, back }, target.icmpTo !== undefined)])
      print(line)
  await outputWritten()
  if (failure !== undefined) throw failure
  await end(statistics.answered > 0 ? 0 : 1)
}

/** Times of more digits would only look more exact. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_, it) => (typeof it === 'number' ? Math.round(it * 1_000) / 1_000 : it))
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Aborted by Ctrl-C, or by SIGTERM. A second signal ends the program at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  return stop.signal
}

/** Asks again and again, without waiting for answers in between. Resolves after the last answer, or when stopped. */
async function many({ count, interval }: Flags, stopped: AbortSignal, one: () => Promise<void>) {
  await new Promise<void>((resolve, reject) => {
    let begun = 0
    let ended = 0
    const next = () => {
      if (++begun === count) clearInterval(timer)
      one().then(() => {
        if (++ended === count) resolve()
      }, fail)
    }
    const timer = setInterval(next, interval * 1000)
    const fail = (error: unknown) => {
      clearInterval(timer)
      reject(error)
    }
    stopped.addEventListener('abort', () => {
      clearInterval(timer)
      resolve()
    })
    next()
  })
}

/** How a target is asked. */
function askerOf(
  device: string,
  report: StatusReport,
  { peer, icmpTo }: PingTarget,
  { size, timeout }: Flags,
): { readonly ask: Ask } & Disposable {
  const timeoutMs = Math.ceil(timeout * 1000)
  // Of one that is relayed, this host knows the way to the relay.
  const next = report.peers.find(({ name }) => name === peer.relayed?.by) ?? peer
  const outer = familyOf(splitPort(next.endpoint ?? '0.0.0.0').host)
  const encap = encapFor(report.mode, report.privacy !== null, report.vni ?? undefined)
  if (icmpTo === undefined) {
    if (size !== undefined) refuseSize(size, leastPingBytes(encap, outer))
    const request = { command: 'ping', peer: peer.name, packet_bytes: size, timeout_ms: timeoutMs }
    return {
      ask: async () => (await ask(device, request)) as PingReport,
      [Symbol.dispose]: () => {},
    }
  }
  // Without the padding that a private tunnel may add.
  const headerBytes = icmpTo.includes(':') ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES
  const leastBytes = encap.overheadBytes(outer, false) + headerBytes + ICMP_HEADER_BYTES
  const packetBytes = size ?? leastBytes + ECHO_DATA_BYTES
  refuseSize(packetBytes, leastBytes)
  const echoes = openEchoes(icmpTo, device, packetBytes - leastBytes)
  return {
    ask: async () => ({ ...(await echoes.ask(timeoutMs)), packet_bytes: packetBytes }),
    [Symbol.dispose]: () => echoes.close(),
  }
}

/** @throws UserError */
function refuseSize(packetBytes: number, leastBytes: number): void {
  const mistake = pingSizeMistake(packetBytes, leastBytes)
  if (mistake !== undefined) throw usageError(`--size: ${mistake}`)
}

/** @throws UserError */
function openEchoes(address: string, device: string, dataBytes: number): Echoes {
  try {
    return new Echoes(address, { device, dataBytes })
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    throw new UserError(
      `${address} cannot be asked through ${device} (${error.message}); it needs CAP_NET_RAW, and a route to ${address}`,
    )
  }
}

/** What is known of a path, and not only assumed. */
function knownBytes(path: PathMtuStatus | null | undefined): number | null {
  return path === null || path === undefined || path.how === 'assumed' ? null : path.bytes
}

function summaryOf(
  { peer, icmpTo }: PingTarget,
  { sent, answered, loss, roundTrips }: PingStatistics,
  path_mtu_bytes: { readonly to: number | null; readonly back: number | null },
) {
  return {
    peer: peer.name,
    by: icmpTo === undefined ? 'keepalive' : 'icmp',
    to: icmpTo ?? peer.endpoint,
    sent,
    answered,
    loss,
    rtt_ms: roundTrips,
    path_mtu_bytes,
  }
}
