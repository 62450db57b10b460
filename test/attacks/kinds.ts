import { randomBytes, randomInt } from 'node:crypto'
import { mac, newPrivateKey } from '../../src/crypto/primitives.js'
import { createInitiation, knowPeer, type Protocol } from '../../src/noise/handshake.js'
import { type Identity, OwnIdentity } from '../../src/noise/keys.js'
import { MacStamp } from '../../src/noise/macs.js'
import { tai64n } from '../../src/noise/tai64n.js'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { COOKIE_REPLY, INITIATION, MAC_BYTES, MESSAGE, RESPONSE } from '../../src/wire/wireguard.js'

/** The longest payload that goes in one packet of an Ethernet. */
const MAX_PAYLOAD_BYTES = 1472

function message(type: number, bytes: number): Buffer {
  const made = randomBytes(bytes)
  made.writeUInt32LE(type)
  return made
}

function withMac1(made: Buffer, { mac1Key }: Identity): Buffer {
  const at = made.length - 2 * MAC_BYTES
  made.set(mac(mac1Key, made.subarray(0, at)), at)
  return made.fill(0, at + MAC_BYTES)
}

/** A whole initiation, right in all but who it is from: what whoever knows a public key can make. */
function strangersInitiation(target: Identity, protocol: Protocol): Buffer {
  const stranger = new OwnIdentity(randomBytes(32))
  const host = knowPeer(stranger, target)
  if (host === undefined) throw new RangeError('the public key is one that no host can have')
  const index = randomInt(1, 2 ** 32)
  const time = tai64n(Date.now())
  const made = createInitiation(protocol, stranger, host, index, newPrivateKey(), time).message
  new MacStamp(target).stamp(made, 0)
  return made
}

interface Kind {
  readonly what: string
  /** @param target known by its public key */
  make(target: Identity, protocol: Protocol): Buffer
}

/** What a flood is made of. None of it is from a peer. */
export const KINDS = {
  'wrong-mac1': {
    what: "handshake initiations of somebody who does not know the target's public key",
    make: () => message(MESSAGE.initiation, INITIATION.size),
  },
  'right-mac1': {
    what: "handshake initiations of somebody who knows the target's public key, and is no peer",
    make: strangersInitiation,
  },
  response: {
    what: 'handshake responses with a right mac1 to nothing that the target has sent',
    make: (target) => withMac1(message(MESSAGE.response, RESPONSE.size), target),
  },
  'cookie-reply': {
    what: 'cookie replies to nothing that the target has sent',
    make: () => message(MESSAGE.cookieReply, COOKIE_REPLY.size),
  },
  transport: {
    what: 'transport data with an index that the target has not given out',
    make: () => message(MESSAGE.transport, 32 + 16 * randomInt(0, 80)),
  },
  relayed: {
    what: 'relayed messages with an index that the target has not given out',
    make: () => {
      const made = message(MESSAGE.relay, RELAY_HEADER_BYTES + 32 + 16 * randomInt(0, 80))
      made.writeUInt32LE(MESSAGE.transport, RELAY_HEADER_BYTES)
      return made
    },
  },
  random: {
    what: 'random bytes of random length',
    make: () => randomBytes(randomInt(1, MAX_PAYLOAD_BYTES)),
  },
  empty: { what: 'empty datagrams', make: () => Buffer.alloc(0) },
  lengths: {
    what: 'messages of each type, too short or too long',
    make: () => message(randomInt(1, 5), randomInt(4, 32) + randomInt(0, 2) * randomInt(121, 1000)),
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS

/** Different ones of a kind, to be sent by turns. */
export function makePayloads(kind: KindName, target: Identity, protocol: Protocol, count = 256): Buffer[] {
  const { make }: Kind = KINDS[kind]
  return Array.from({ length: count }, () => make(target, protocol))
}
