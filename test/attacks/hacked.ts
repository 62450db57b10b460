/**
 * A peer whose key is in bad hands: it can seal. It comes to its tunnel by a true handshake, and then floods it with
 * control frames, or with messages to be relayed. The argument is a {@link HackedFlood} in JSON. It says `ready` when it has a session and has sealed all;
 * a line of input has it begin. At the end it prints a {@link FloodReport}.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { parseKey } from '../../src/key-text.js'
import { Protocol } from '../../src/noise/handshake.js'
import { relayNameOf } from '../../src/noise/relay-name.js'
import { type ControlType, writeControl } from '../../src/wire/control.js'
import { type Introduction, writeAsk, writeIntroduction } from '../../src/wire/introduction.js'
import { MESSAGE } from '../../src/wire/wireguard.js'
import { HACKED_KINDS, type HackedFlood, type HackedKind } from './hacked-flood.js'
import { mustHaveLeave } from './leave.js'
import { sendFlood } from './raw-flood.js'
import { type Session, Visitor } from './visitor.js'

const PATIENCE_MS = 1_000
const TRIES = 10
/** Of what is to be relayed, without the header. */
const RELAYED_BYTES = 96

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

function mustParseKey(text: string): Buffer {
  const key = parseKey(text)
  if (key === undefined) throw new Error(`${text} is no key`)
  return key
}

const position = () => ({ epoch: randomInt(1, 2 ** 32), revision: randomInt(1e6) })

function bogus(kind: Exclude<HackedKind, 'all' | 'relay'>): Uint8Array {
  const content: Partial<Record<ControlType, () => Uint8Array>> = {
    ask: () => writeAsk(position()),
    introduction: () => writeIntroduction(introduction()),
  }
  const made = content[kind]?.()
  const token = randomBytes(8).readBigUInt64BE()
  return writeControl('tun', { type: kind, token, sizeBytes: 0, ...(made ? { content: made } : {}) })
}

/** Half of them are for nobody whom the target knows. The others reach a member, and are nothing to it. */
function relayed(session: Session, index: number): Buffer {
  const message = randomBytes(RELAYED_BYTES)
  message.writeUInt32LE(MESSAGE.transport)
  const key = index % 2 === 0 ? randomBytes(32) : member
  return session.sealRelayed(relayNameOf(key), message)
}

const order: HackedFlood = JSON.parse(process.argv[2])
const { target: at, to, from, kind, perSecond, seconds } = order
mustHaveLeave(false)
const secret = parseKey(readFileSync(order.privateKeyFile, 'utf8').trim())
const [key, member] = [order.key, order.member].map(mustParseKey)
if (secret === undefined) throw new Error('no key')
const visitor = new Visitor({ secret, key, to: at, port: from.port, protocol: Protocol.wireguard })
const stamp = visitor.newStamp()
let session = await visitor.attempt(stamp, PATIENCE_MS)
for (let tries = 1; session === undefined && tries < TRIES; tries++)
  session = await visitor.attempt(stamp, PATIENCE_MS)
if (session === undefined) throw new Error('the tunnel does not answer')
const kinds = kind === 'all' ? HACKED_KINDS.filter((it) => it !== 'all') : [kind]
const datagrams = Math.round(perSecond * seconds)
const sealed: Buffer[] = []
for (let index = 0; index < datagrams; index++) {
  const now = kinds[index % kinds.length]
  sealed.push(now === 'relay' ? relayed(session, index) : session.seal(bogus(now)))
}
process.stdout.write('ready\n')
await once(process.stdin, 'data')
const flood = { to, from: [from], payload: (index: number) => sealed[index], datagrams, perSecond }
process.stdout.write(`${JSON.stringify(await sendFlood(flood))}\n`)
process.exit(0)
