import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { WorkerReason } from '../control/datapath/reason.js'
import type { DropReason, PeerStatus, StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { programFile } from '../package/files.js'
import { ADDRESSES, type Datapath, Lab, type Side } from './lab.js'
import { settledMs } from './settled.js'
import type { Received } from './tcp.js'

const PING = fileURLToPath(programFile('demo/ping.js'))
const TCP = fileURLToPath(programFile('demo/tcp.js'))
const TCP_PORT = 5201

const PING_INTERVAL_MS = 100

/** Number of samples while TCP runs: about one for each column of a chart. */
const SAMPLES = 60
const MIN_SAMPLE_MS = 80

/** So long the kernels have to prove that they carry the frames. */
const PROVED_WITHIN_MS = 4_000
const POLL_MS = 50
/** Why the workers carry the frames at first. */
const AT_FIRST: ReadonlySet<WorkerReason | null> = new Set(['peer', 'unproved', 'no_way'])

export interface Frames {
  readonly a_to_b: number
  readonly b_to_a: number
}

/** What was measured through one tunnel. */
export interface Measured {
  /** Who carried the frames: the kernel's own datapath, or the workers. */
  readonly datapath: Carrier
  /** What the receiver got from one TCP stream from a to b. */
  readonly tcp: { readonly gbit_per_s: number; readonly bytes: number; readonly seconds: number }
  /** Medians before TCP, as soon as the times have settled, and during TCP; null if none came back. */
  readonly round_trip_ms: { readonly idle: number; readonly loaded: number | null }
  readonly frames: Frames
  /** Frames dropped on both hosts, by reason. A reason without drops has no key. */
  readonly drops: Partial<Record<DropReason, number>>
}

/** The result of the demo. */
export interface DemoResult extends Measured {
  /** The same through the workers; null if they have carried the frames before. */
  readonly workers: Measured | null
}

export type Carrier = PeerStatus['datapath']['by']

/** The steps of the demo, as they happen. From `tunnels` to the last `sample`, they come once for each carrier. */
export type DemoEvent =
  | { readonly event: 'hosts'; readonly addresses: typeof ADDRESSES }
  | {
      readonly event: 'tunnels'
      readonly took_s: number
      readonly mtu_bytes: number
      readonly datapath: Carrier
    }
  | { readonly event: 'ping'; readonly round_trip_ms: number | null }
  | {
      readonly event: 'sample'
      readonly elapsed_s: number
      readonly seconds: number
      /** The rate of Ethernet frames that came out at b since the sample before. */
      readonly gbit_per_s: number
      readonly frames: Frames
      readonly dropped: number
    }
  | ({ readonly event: 'result' } & DemoResult)

/**
 * Makes two hosts and a tunnel between them, then runs a ping and `seconds` of TCP through it. If the kernels carry the
 * frames, the same follows through the workers. All of it is removed again, however this ends.
 * @param abort ends it early
 * @throws the reason of the abort; UserError
 */
export async function* runDemo(seconds: number, abort: AbortController): AsyncGenerator<DemoEvent, void> {
  const lab = Lab.open(abort)
  try {
    yield { event: 'hosts', addresses: ADDRESSES }
    const first = yield* measure(lab, 'auto', seconds, abort.signal)
    let workers: Measured | null = null
    if (first.datapath === 'kernel') {
      await lab.stopTunnels()
      workers = yield* measure(lab, 'workers', seconds, abort.signal)
    }
    yield { event: 'result', ...first, workers }
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error
  } finally {
    await lab.close()
  }
}

async function* measure(
  lab: Lab,
  datapath: Datapath,
  seconds: number,
  signal: AbortSignal,
): AsyncGenerator<DemoEvent, Measured> {
  const startedMs = performance.now()
  await lab.startTunnels(datapath)
  const took_s = round((performance.now() - startedMs) / 1000)
  const by = await carrier(lab)
  yield { event: 'tunnels', took_s, mtu_bytes: (await lab.status()).a.mtu_bytes, datapath: by }

  const ping = pinging(lab)
  const times: (number | null)[] = []
  let idle: number | null | undefined
  while (idle === undefined) {
    const round_trip_ms = await ping.next()
    times.push(round_trip_ms)
    yield { event: 'ping', round_trip_ms }
    idle = settledMs(times)
  }
  if (idle === null) throw new UserError('no ping came back through the tunnel')
  ping.goOn()

  const tcp = yield* transfer(lab, seconds, signal)
  const reports = await lab.status()
  const round_trip_ms = { idle, loaded: ping.median() }
  await ping.stop()
  return { datapath: by, tcp, round_trip_ms, frames: framesOf(reports), drops: dropsOf(reports) }
}

/** Who carries the frames. The kernels do so only a moment after the start, because both ends prove that they can. */
async function carrier(lab: Lab): Promise<Carrier> {
  const endMs = performance.now() + PROVED_WITHIN_MS
  for (;;) {
    const { a, b } = await lab.status()
    const datapaths = [a, b].map(({ peers }) => peers[0].datapath)
    if (datapaths.every(({ by }) => by === 'kernel')) return 'kernel'
    const mayCome = datapaths.every(({ by, reason }) => by === 'kernel' || AT_FIRST.has(reason))
    if (!mayCome || performance.now() > endMs) return 'workers'
    await sleep(POLL_MS)
  }
}

/** Pings from a to b: at first one by one, then continuously. */
function pinging(lab: Lab) {
  const { line, stop } = lab.spawn('a', PING, [ADDRESSES.b.overlay, String(PING_INTERVAL_MS)])
  const times: number[] = []
  const next = async () => {
    const roundTripMs = JSON.parse(await line()) as number | null
    return roundTripMs === null ? null : round(roundTripMs)
  }
  return {
    next,
    /** Continues by itself until the end. */
    goOn() {
      const again = async () => {
        for (;;) {
          const time = await next()
          if (time !== null) times.push(time)
        }
      }
      again().catch(() => {})
    },
    stop,
    /** The median since {@link goOn}, in milliseconds; null if no ping has come back. */
    median: () => (times.length === 0 ? null : times.toSorted((a, b) => a - b)[times.length >>> 1]),
  }
}

async function* transfer(
  lab: Lab,
  seconds: number,
  signal: AbortSignal,
): AsyncGenerator<DemoEvent, Measured['tcp']> {
  const address = ADDRESSES.a.overlay
  const sender = lab.spawn('a', TCP, ['send', address, String(TCP_PORT), String(seconds)])
  await sender.line()
  const receiver = lab.spawn('b', TCP, ['receive', address, String(TCP_PORT)])
  let received: Received | undefined
  const done = receiver.line().then((line) => {
    received = JSON.parse(line) as Received
  })
  done.catch(() => {})

  const sampleMs = Math.max(MIN_SAMPLE_MS, (seconds * 1000) / SAMPLES)
  const startedMs = performance.now()
  for (let before = await lab.status(); ; ) {
    await Promise.race([done, sleep(sampleMs, undefined, { signal })])
    if (received !== undefined) break
    const now = await lab.status()
    const bytes = now.b.inbound.bytes - before.b.inbound.bytes
    yield {
      event: 'sample',
      elapsed_s: round((performance.now() - startedMs) / 1000),
      seconds,
      gbit_per_s: gbitPerSecond(bytes, now.b.uptime_s - before.b.uptime_s),
      frames: framesOf(now),
      dropped: Object.values(dropsOf(now)).reduce((sum, count) => sum + count, 0),
    }
    before = now
  }
  const { bytes, seconds: took } = received
  return { gbit_per_s: gbitPerSecond(bytes, took), bytes, seconds: round(took) }
}

const gbitPerSecond = (bytes: number, seconds: number) => round((bytes * 8) / 1e9 / seconds)

/** Rounds to three decimals, which is more than enough. */
const round = (value: number) => Math.round(value * 1000) / 1000

type Reports = Readonly<Record<Side, StatusReport>>

function framesOf({ a, b }: Reports): Frames {
  return { a_to_b: b.inbound.frames, b_to_a: a.inbound.frames }
}

function dropsOf({ a, b }: Reports): Measured['drops'] {
  const reasons = Object.keys(a.drops) as DropReason[]
  const sums = reasons.map((reason) => [reason, a.drops[reason] + b.drops[reason]] as const)
  return Object.fromEntries(sums.filter(([, count]) => count > 0))
}
