/**
 * An honest peer that comes to a WireGuard, this program's or any other, as if for the first time, again and
 * again, and counts how many handshake initiations it takes until there is an answer. Prints a
 * {@link KnockReport} in JSON. `--help` tells how.
 */
import { createCipheriv, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { parseKey } from '../../src/key-text.js'
import { recv, sendto } from '../../src/linux/libc.js'
import { encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { openUdp } from '../../src/linux/udp.js'
import { createInitiation, knowPeer, Protocol, readResponse } from '../../src/noise/handshake.js'
import { Identity, OwnIdentity } from '../../src/noise/keys.js'
import { MacStamp } from '../../src/noise/macs.js'
import { tai64n } from '../../src/noise/tai64n.js'
import {
  COOKIE_REPLY,
  INITIATION,
  MESSAGE,
  RESPONSE,
  TAG_BYTES,
  TRANSPORT,
  TRANSPORT_HEADER_BYTES,
} from '../../src/wire/wireguard.js'

export interface KnockReport {
  /** Initiations that each session took; null where there was none after all tries. */
  readonly tries: readonly (number | null)[]
  /** Cookies that came meanwhile. */
  readonly cookies: number
  /** From a session's first initiation to its response, the waits between tries included; the longest. */
  readonly slowestMs: number
}

const BUFFER_BYTES = 8 << 20
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

const own = new OwnIdentity(secret)
const target = knowPeer(own, new Identity(key)) ?? program.error('the key is one that no host can have')
const listen = { address: undefined, port: Number(options.listen) }
const socket = openUdp({ listen, receiveBufferBytes: BUFFER_BYTES, sendBufferBytes: BUFFER_BYTES })
const name = encodeSockaddr(socket.family, { address, port: Number(port) })
const incoming = Buffer.alloc(65_536)
let cookies = 0

function send(message: Uint8Array): void {
  // Once more: an ICMP error that waits fails one send.
  for (let tries = 0; tries < 2; tries++)
    if (sendto(socket.fd, message, message.length, 0, name, sockaddrLength(socket.family)) >= 0) return
}

/** A message for `index` of one of these types, once one has come; undefined when the time is up. */
async function hear(index: number, types: readonly number[], untilMs: number): Promise<Buffer | undefined> {
  for (;;) {
    const bytes = recv(socket.fd, incoming, incoming.length, 0)
    if (bytes < 0) {
      if (performance.now() >= untilMs) return undefined
      await sleep(1)
      continue
    }
    const type = bytes < COOKIE_REPLY.size ? 0 : incoming.readUInt32LE()
    const at = type === MESSAGE.response ? RESPONSE.receiver : COOKIE_REPLY.receiver
    if (types.includes(type) && incoming.readUInt32LE(at) === index)
      return Buffer.from(incoming.subarray(0, bytes))
  }
}

/** Nothing, sealed: it tells the other end that the keys are in use. */
function keepalive(remoteIndex: number, sendKey: Buffer): Buffer {
  const header = Buffer.alloc(TRANSPORT_HEADER_BYTES)
  header.writeUInt32LE(MESSAGE.transport, TRANSPORT.type)
  header.writeUInt32LE(remoteIndex, TRANSPORT.receiver)
  const cipher = createCipheriv('chacha20-poly1305', sendKey, Buffer.alloc(12), { authTagLength: TAG_BYTES })
  cipher.final()
  return Buffer.concat([header, cipher.getAuthTag()])
}

/** One initiation, and what comes of it within the time: whether that is a session. */
async function attempt(stamp: MacStamp): Promise<boolean> {
  const index = randomBytes(4).readUInt32LE()
  const made = createInitiation(protocol, own, target, index, randomBytes(32), tai64n(Date.now()))
  stamp.stamp(made.message, performance.now())
  const untilMs = performance.now() + retryMs
  send(made.message)
  for (;;) {
    const message = await hear(index, [MESSAGE.response, MESSAGE.cookieReply], untilMs)
    if (message === undefined) return false
    if (message.readUInt32LE() === MESSAGE.cookieReply) {
      if (stamp.takeReply(message, performance.now())) cookies++
      continue
    }
    const keys = readResponse(made.initiated, own, target, message)
    if (keys === undefined) continue
    send(keepalive(message.readUInt32LE(INITIATION.sender), keys.send))
    return true
  }
}

const tries: (number | null)[] = []
let slowestMs = 0
for (let session = 0; session < sessions; session++) {
  const stamp = new MacStamp(target.identity)
  const startedMs = performance.now()
  let used = 0
  let done = false
  while (!done && used < maxTries) {
    used++
    done = await attempt(stamp)
  }
  tries.push(done ? used : null)
  slowestMs = Math.max(slowestMs, performance.now() - startedMs)
  await sleep(PAUSE_MS)
}
process.stdout.write(`${JSON.stringify({ tries, cookies, slowestMs } satisfies KnockReport)}\n`)
process.exit(0)
