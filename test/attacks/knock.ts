/**
 * An honest peer that comes to a WireGuard, this program's or any other, as if for the first time, again and
 * again, and counts how many handshake initiations it takes until there is an answer. Prints a
 * {@link KnockReport} in JSON. `--help` tells how.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { parseKey } from '../../src/key-text.js'
import { Protocol } from '../../src/noise/handshake.js'
import { Visitor } from './visitor.js'

export interface KnockReport {
  /** Initiations that each session took; null where there was none after all tries. */
  readonly tries: readonly (number | null)[]
  /** Cookies that came meanwhile. */
  readonly cookies: number
  /** From a session's first initiation to its response, the waits between tries included; the longest. */
  readonly slowestMs: number
}

/** Between one session and the next: a target takes no more than 50 initiations a second of a peer. */
const PAUSE_MS = 60

const program = new Command('knock')
  .description('Comes to a WireGuard as a peer of its, and counts the tries until it is let in. Over IPv4.')
  .argument('<address:port>', 'of the target')
  .requiredOption('--key <key>', "the target's public key, in base64")
  .requiredOption('--private-key-file <file>', 'the private key of a peer of it')
  .option('--listen <port>', 'port to come from', '51820')
  .option('--sessions <count>', 'how often to come', '10')
  .option('--tries <count>', 'initiations at the most, each time', '15')
  .option('--retry-ms <ms>', 'how long an answer is waited for; WireGuard waits for 5,000', '1000')
  .option('--ethernet', "the target is this program's in mode tap, whose handshakes are its own")
  .parse()
const options = program.opts()
const [, address, port] =
  /^([\d.]+):(\d+)$/.exec(program.args[0]) ?? program.error('give <address:port>, IPv4')
const key = parseKey(options.key) ?? program.error(`${options.key} is no key in base64`)
const secret =
  parseKey(readFileSync(options.privateKeyFile, 'utf8').trim()) ?? program.error('no private key')
const protocol = options.ethernet === true ? Protocol.ethernet : Protocol.wireguard
const [sessions, maxTries, retryMs] = [options.sessions, options.tries, options.retryMs].map(Number)

const to = { address, port: Number(port) }
const visitor = new Visitor({ secret, key, to, port: Number(options.listen), protocol })
const tries: (number | null)[] = []
let slowestMs = 0
for (let session = 0; session < sessions; session++) {
  const stamp = visitor.newStamp()
  const startedMs = performance.now()
  let used = 0
  let done = false
  while (!done && used < maxTries) {
    used++
    done = (await visitor.attempt(stamp, retryMs)) !== undefined
  }
  tries.push(done ? used : null)
  slowestMs = Math.max(slowestMs, performance.now() - startedMs)
  await sleep(PAUSE_MS)
}
process.stdout.write(
  `${JSON.stringify({ tries, cookies: visitor.cookies, slowestMs } satisfies KnockReport)}\n`,
)
process.exit(0)
