/**
 * A peer whose key is in bad hands: it can seal. It comes to its tunnel by a true handshake, and then floods it with
 * control frames. The argument is a {@link HackedFlood} in JSON. It says `ready` when it has a session and has sealed all;
 * a line of input has it begin. At the end it prints a {@link FloodReport}.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { parseKey } from '../../src/key-text.js'
import { Protocol } from '../../src/noise/handshake.js'
import { type ControlType, writeControl } from '../../src/wire/control.js'
import { type Introduction, writeAsk, writeIntroduction } from '../../src/wire/introduction.js'
import type { HackedFlood, HackedKind } from './hacked-flood.js'
import { mustHaveLeave } from './leave.js'
import { sendFlood } from './raw-flood.js'
import { Visitor } from './visitor.js'

const PATIENCE_MS = 1_000
const TRIES = 10

const address = () => Uint8Array.from(randomBytes(4))

function introduction(): Introduction {
  const member = {
    publicKey: randomBytes(32),
    name: `bogus${randomInt(1e9)}`,
    networks: [{ address: address(), prefixLength: 32 }],
    endpoints: [{ address: address(), port: randomInt(1, 65_536) }],
  }
  const [epoch, after] = [randomInt(1, 2 ** 32), randomInt(1e6)]
  return { kind: 'member', member, epoch, after, revision: after + 1, latest: after + 1 }
}

const position = () => ({ epoch: randomInt(1, 2 ** 32), revision: randomInt(1e6) })

function bogus(kind: Exclude<HackedKind, 'all'>): Uint8Array {
  const content: Partial<Record<ControlType, () => Uint8Array>> = {
    ask: () => writeAsk(position()),
    introduction: () => writeIntroduction(introduction()),
  }
  const made = content[kind]?.()
  const token = randomBytes(8).readBigUInt64BE()
  return writeControl('tun', { type: kind, token, sizeBytes: 0, ...(made ? { content: made } : {}) })
}

const order: HackedFlood = JSON.parse(process.argv[2])
const { target: at, to, from, kind, perSecond, seconds } = order
mustHaveLeave(false)
const secret = parseKey(readFileSync(order.privateKeyFile, 'utf8').trim())
const key = parseKey(order.key)
if (secret === undefined || key === undefined) throw new Error('no key')
const visitor = new Visitor({ secret, key, to: at, port: from.port, protocol: Protocol.wireguard })
const stamp = visitor.newStamp()
let session = await visitor.attempt(stamp, PATIENCE_MS)
for (let tries = 1; session === undefined && tries < TRIES; tries++)
  session = await visitor.attempt(stamp, PATIENCE_MS)
if (session === undefined) throw new Error('the tunnel does not answer')
const kinds = kind === 'all' ? (['hello', 'probe', 'ask', 'introduction'] as const) : ([kind] as const)
const datagrams = Math.round(perSecond * seconds)
const sealed: Buffer[] = []
for (let index = 0; index < datagrams; index++) sealed.push(session.seal(bogus(kinds[index % kinds.length])))
process.stdout.write('ready\n')
await once(process.stdin, 'data')
const flood = { to, from: [from], payload: (index: number) => sealed[index], datagrams, perSecond }
process.stdout.write(`${JSON.stringify(await sendFlood(flood))}\n`)
process.exit(0)
