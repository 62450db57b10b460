import { Command, InvalidArgumentError, Option } from 'commander'
import { usageError } from '../../src/errors.js'
import { DEFAULT_LOADS, LOADS, QUICK_LOADS } from './loads/index.js'
import { DEFAULT_PEERS, PEERS, QUICK_PEERS } from './peers/index.js'
import type { Plan } from './plan.js'
import { type Results, readResults } from './results.js'
import { parseUnderlay, type UnderlaySpec } from './underlay.js'

/** The options from the command line. */
export interface Options {
  readonly plan: Plan
  /** Undefined: iperf3 if it is installed. */
  readonly generator: 'iperf3' | 'own' | undefined
  /** The folder of the report; undefined: bench/results/<time>/. */
  readonly out: string | undefined
  readonly json: boolean
  /** The results to compare with. */
  readonly before: Results | undefined
  /** Results that are used instead of a run. */
  readonly after: Results | undefined
}

const DEFAULT: Plan = {
  rounds: 5,
  seconds: 1,
  underlays: ['mtu=1500,offload=on', 'mtu=1500,offload=off'].map(parseUnderlay),
  peers: DEFAULT_PEERS,
  loads: DEFAULT_LOADS,
}
const QUICK: Plan = {
  rounds: 2,
  seconds: 3,
  underlays: [parseUnderlay('mtu=1500,offload=on')],
  peers: QUICK_PEERS,
  loads: QUICK_LOADS,
}

/** The plan of an earlier run, to measure the same again. */
function planOf(results: Results): Plan {
  const names = (items: readonly { name: string }[]) => items.map(({ name }) => name).join(',')
  return {
    rounds: results.rounds,
    seconds: results.seconds,
    underlays: results.underlays.map(({ name }) => parseUnderlay(name)),
    peers: choose('peer', names(results.peers), PEERS),
    loads: choose('load', names(results.loads), LOADS),
  }
}

interface Flags {
  quick?: true
  peers?: string
  loads?: string
  rounds?: number
  seconds?: number
  underlay?: UnderlaySpec[]
  generator?: 'iperf3' | 'own'
  out?: string
  json?: true
  compare?: string[]
}

const list = (items: readonly { name: string; title: string }[]) =>
  items.map(({ name, title }) => `  ${name.padEnd(23)}${title}`).join('\n')

const EPILOGUE = `
Peers (the first ${DEFAULT_PEERS.length} unless told otherwise):
${list(PEERS)}

Loads (the first ${DEFAULT_LOADS.length} unless told otherwise):
${list(LOADS)}

Examples:
  npm run bench                                           everything, within 15 minutes
  npm run bench -- --quick                                a first look
  npm run bench -- --peers all --rounds 3
  npm run bench -- --loads rfc2544-64 --underlay mtu=9000,offload=off
  npm run bench -- --compare bench/results/<time>/results.json
`

/** @throws CommanderError (its message is already printed) or UserError */
export function parseOptions(args: readonly string[]): Options {
  const program = new Command('npm run bench --')
    .description(
      'Measures this tunnel and whatever else is installed side by side, between two hosts made of network ' +
        'namespaces, and writes a report. Needs root.',
    )
    .option(
      '--quick',
      `a first look within 90 s: ${QUICK.rounds} rounds, ${QUICK_PEERS.length} peers, ${QUICK_LOADS.length} load`,
    )
    .option('--peers <names|all>', 'which tunnels, separated by commas')
    .option('--loads <names|all>', 'what to measure, separated by commas')
    .option('--rounds <number>', 'how often every peer has its turn', count)
    .option('--seconds <number>', 'how long to measure throughput each time', count)
    .option(
      '--underlay <properties>',
      'mtu=<bytes>,offload=on|software|off,rate=<100mbit>: the network between the hosts (may be repeated)',
      (text: string, before: UnderlaySpec[] = []) => [...before, parseUnderlay(text)],
    )
    .addOption(
      new Option('--generator <name>', 'what makes the traffic: iperf3 where it is installed').choices([
        'iperf3',
        'own',
      ]),
    )
    .option('--out <folder>', 'where the report goes (bench/results/<time>)')
    .option('--json', 'print results.json, or the comparison, instead of tables')
    .option(
      '--compare <results.json...>',
      'run what that file has and print what has changed; with two files, compare them and run nothing; ' +
        'exit 1 on a regression beyond the noise',
    )
    .addHelpText('after', EPILOGUE)
    .showHelpAfterError('(see npm run bench -- --help)')
    .exitOverride()
    .parse(args, { from: 'user' })

  const flags = program.opts<Flags>()
  const { compare = [] } = flags
  if (compare.length > 2) throw usageError(`--compare takes one or two files, not ${compare.length}`)
  const [before, after] = compare.map(readResults)
  const base = before !== undefined ? planOf(before) : flags.quick ? QUICK : DEFAULT
  return {
    plan: {
      rounds: flags.rounds ?? base.rounds,
      seconds: flags.seconds ?? base.seconds,
      underlays: unique(flags.underlay ?? base.underlays),
      peers: flags.peers === undefined ? base.peers : choose('peer', flags.peers, PEERS),
      loads: flags.loads === undefined ? base.loads : choose('load', flags.loads, LOADS),
    },
    generator: flags.generator,
    out: flags.out,
    json: flags.json ?? false,
    before,
    after,
  }
}

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 1000) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 1000.')
  }
  return value
}

function unique<T extends { name: string }>(items: readonly T[]): T[] {
  return [...new Map(items.map((item) => [item.name, item])).values()]
}

function choose<T extends { name: string }>(kind: string, names: string, all: readonly T[]): readonly T[] {
  if (names === 'all') return all
  const wanted = names.split(',').map((name) => {
    const found = all.find((item) => item.name === name)
    if (found !== undefined) return found
    throw usageError(`there is no ${kind} "${name}"; choose from ${all.map((item) => item.name).join(', ')}`)
  })
  return unique(wanted)
}
