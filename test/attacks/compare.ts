/**
 * Besieges this program and each wireguard-go that is named, by turns, with every kind of flood from everywhere,
 * and prints a table: how many tries an honest peer needs meanwhile, and what the flood costs the target.
 * `node dist/test/attacks/compare.js --help` tells how.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { markdownTable } from 'markdown-table'
import { KINDS, type KindName } from './kinds.js'
import type { KnockReport } from './knock.js'
import { effortOf, Siege, SOURCES, type SourceName, type TargetProgram, UDPTUN } from './siege.js'

const program = new Command('compare')
  .description('Floods this program and others, and tells what an honest peer needs meanwhile. As root.')
  .option('--wireguard-go <program...>', 'others to besiege', ['wireguard-go'])
  .option('--udptun <main.js...>', 'other builds of this program to besiege', [])
  .option('--kinds <kind...>', 'of floods', Object.keys(KINDS))
  .option('--sources <source...>', 'of floods', Object.keys(SOURCES))
  .option('--unknown', 'the targets are not told where their peer is')
  .option('--rate <datagrams>', 'a second', '20000')
  .option('--tries <count>', 'of the honest peer at the most', '6')
  .option('--renewals', 'counts instead how often a session renews its keys in 8 s; it is to every 1.5')
  .option('--sessions <count>', 'of the honest peer under each', '10')
  .parse()
const options = program.opts()
const perSecond = Number(options.rate)
const targets: TargetProgram[] = [
  UDPTUN,
  ...options.udptun.map((udptun: string) => ({ name: udptun, udptun })),
  ...options.wireguardGo.map((wireguardGo: string) => ({ name: wireguardGo, wireguardGo })),
]
/** How long a flood lasts before anything is looked at, and then at the least. */
const SETTLE_MS = 500
const LEAST_MS = 3_000
const RENEWALS_SECONDS = 8

interface Outcome {
  readonly tries: KnockReport['tries']
  /** Percent of a core, of each thread that had a part, the busiest first. */
  readonly cpu: readonly number[]
  readonly outPerSecond: number
}

async function besiege(target: TargetProgram, kind: KindName, source: SourceName): Promise<Outcome> {
  using siege = new Siege()
  const it = await siege.start(target, options.unknown !== true)
  const flood = await siege.flood(kind, source, perSecond)
  await sleep(SETTLE_MS)
  const before = effortOf(it.pid)
  const startedMs = performance.now()
  const [knocked] = await Promise.all([
    siege.knock(Number(options.sessions), Number(options.tries)),
    sleep(LEAST_MS),
  ])
  const tookMs = performance.now() - startedMs
  const after = effortOf(it.pid)
  await flood.stop()
  await it.stop()
  return {
    ...knocked,
    cpu: [...after.cpuMs]
      .map(([thread, ms]) => Math.round((100 * (ms - (before.cpuMs.get(thread) ?? 0))) / tookMs))
      .filter((percent) => percent > 0)
      .sort((a, b) => b - a),
    outPerSecond: Math.round(((after.sentPackets - before.sentPackets) * 1000) / tookMs),
  }
}

/** Cells of how a peer fares that comes for the first time. */
async function measure(target: TargetProgram, kind: KindName, source: SourceName): Promise<string[]> {
  const { tries, cpu, outPerSecond } = await besiege(target, kind, source)
  const most = tries.includes(null) ? 'never' : Math.max(...(tries as number[]))
  const within = tries.filter((count) => count !== null && count <= 2).length
  return [`${within} of ${tries.length}; ${most}`, cpu.join(' + ') || '0', `${outPerSecond}`]
}

/** Cells of how an established session fares. */
async function renew(target: TargetProgram, kind: KindName, source: SourceName): Promise<string[]> {
  using siege = new Siege()
  const it = await siege.start(target, false)
  const peer = await siege.startPeer()
  const flood = await siege.flood(kind, source, perSecond)
  await sleep(SETTLE_MS)
  const { renewals, lostPercent } = await siege.renewals(peer, RENEWALS_SECONDS)
  await flood.stop()
  await peer.stop()
  await it.stop()
  return [`${renewals}`, `${lostPercent}`]
}

const columns = targets.flatMap(({ name }) =>
  options.renewals === true
    ? [`${name}: renewals`, 'pings lost, %']
    : [`${name}: within two tries; most`, 'CPU, %', 'sent a second'],
)
const rows: string[][] = []
for (const kind of options.kinds as KindName[]) {
  for (const source of options.sources as SourceName[]) {
    const row: string[] = [kind, source]
    for (const target of targets) {
      const about = options.renewals === true ? renew : measure
      const cells = await about(target, kind, source)
      process.stderr.write(`${kind} from ${source}, ${target.name}: ${cells.join(' | ')}\n`)
      row.push(...cells)
    }
    rows.push(row)
  }
}
process.stdout.write(`${markdownTable([['flood', 'from', ...columns], ...rows])}\n`)
