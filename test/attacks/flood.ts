/**
 * Floods a WireGuard, this program's or any other, with what strangers can send. `--help` tells how. It says what
 * it does before it begins, and prints a report in JSON at the end.
 */
import { Command, Option } from 'commander'
import { parseKey } from '../../src/key-text.js'
import { Protocol } from '../../src/noise/handshake.js'
import { Identity } from '../../src/noise/keys.js'
import { KINDS, type KindName, makePayloads } from './kinds.js'
import { mustHaveLeave, OUTSIDE_FLAG } from './leave.js'
import { sendFlood } from './raw-flood.js'
import { sourcesOf } from './sources.js'

const kinds = Object.entries(KINDS).map(([name, { what }]) => `  ${name.padEnd(14)}${what}`)
const program = new Command('flood')
  .description(
    'Floods a WireGuard with what strangers can send, to see what it does then. As root, over IPv4.',
  )
  .argument('<address:port>', 'of the target')
  .requiredOption('--key <key>', "the target's public key, in base64")
  .addOption(new Option('--kind <kind>', 'what is sent').choices(Object.keys(KINDS)).makeOptionMandatory())
  .option('--source <source>', 'own, many=<prefix> or spoofed=<address:port>', 'own')
  .option('--rate <datagrams>', 'a second', '20000')
  .option('--seconds <seconds>', 'how long', '10')
  .option('--ethernet', "the target is this program's in mode tap, whose handshakes are its own")
  .option(OUTSIDE_FLAG, 'send even outside of a network namespace of its own')
  .addHelpText('after', `\nKinds:\n${kinds.join('\n')}`)
  .parse()

interface Options {
  readonly key: string
  readonly kind: KindName
  readonly source: string
  readonly rate: string
  readonly seconds: string
  readonly ethernet?: true
  readonly onMyOwnNetwork?: true
}
const { kind, source, ethernet, onMyOwnNetwork, ...options } = program.opts<Options>()
const [, address, port] =
  /^([\d.]+):(\d+)$/.exec(program.args[0]) ?? program.error('give <address:port>, IPv4')
const to = { address, port: Number(port) }
const key = parseKey(options.key) ?? program.error(`${options.key} is no key in base64`)
const [perSecond, seconds] = [Number(options.rate), Number(options.seconds)]
if (!(perSecond > 0 && seconds > 0)) program.error('--rate and --seconds are numbers above 0')

mustHaveLeave(onMyOwnNetwork === true)
const from = await sourcesOf(source, to).catch((error: Error) => program.error(error.message))
const protocol = ethernet === true ? Protocol.ethernet : Protocol.wireguard
const payloads = makePayloads(kind, new Identity(key), protocol)
const payload = (index: number) => payloads[index % payloads.length]
const sources = from.length === 1 ? from[0].address : `${from.length} addresses from ${from[0].address} on`
process.stderr.write(
  `${perSecond} datagrams a second to ${address}:${port} for ${seconds} s, as if from ${sources}: ${KINDS[kind].what}\n`,
)
const datagrams = Math.round(perSecond * seconds)
const ender = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ender.abort())
const flood = { to, from, payload, datagrams, perSecond, signal: ender.signal }
process.stdout.write(`${JSON.stringify(await sendFlood(flood))}\n`)
