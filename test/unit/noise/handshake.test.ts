import { readFileSync } from 'node:fs'
import t from 'tap'
import { importPrivateKey, mac } from '../../../src/crypto/primitives.js'
import {
  authenticate,
  createInitiation,
  createResponse,
  knowPeer,
  Protocol,
  readInitiation,
  readResponse,
} from '../../../src/noise/handshake.js'
import { Identity, OwnIdentity } from '../../../src/noise/keys.js'
import { MacStamp } from '../../../src/noise/macs.js'
import { INITIATION } from '../../../src/wire/wireguard.js'

const bytes = (byte: number) => new Uint8Array(32).fill(byte)
const initiator = new OwnIdentity(bytes(0x11))
const responder = new OwnIdentity(bytes(0x22))
const TIMESTAMP = Buffer.from('400000006774857a1d000000', 'hex')
const SENDERS = { initiator: 0x01020304, responder: 0x0a0b0c0d }

function meet(own: OwnIdentity, other: Identity, presharedKey?: Uint8Array) {
  const peer = knowPeer(own, new Identity(other.publicKey), presharedKey)
  if (peer === undefined) throw new Error('a point of small order')
  return peer
}

function initiate(protocol: Protocol, presharedKey?: Uint8Array) {
  const peer = meet(initiator, responder, presharedKey)
  const made = createInitiation(
    protocol,
    initiator,
    peer,
    SENDERS.initiator,
    importPrivateKey(bytes(0x33)),
    TIMESTAMP,
  )
  new MacStamp(peer.identity).stamp(made.message, 0)
  return { peer, ...made }
}

function respond(protocol: Protocol, initiation: Buffer, presharedKey?: Uint8Array) {
  const peer = meet(responder, initiator, presharedKey)
  const introduction = readInitiation(protocol, responder, initiation)
  const authenticated = introduction && authenticate(introduction, peer)
  if (authenticated === undefined) return undefined
  const response = createResponse(authenticated, peer, SENDERS.responder, importPrivateKey(bytes(0x44)))
  if (response !== undefined) new MacStamp(peer.identity).stamp(response.message, 0)
  return response && { ...response, introduction, authenticated }
}

interface Transcript {
  readonly identifier: 'wireguard' | 'ethernet'
  readonly presharedKey: string
  readonly initiation: string
  readonly response: string
  readonly initiatorSends: string
  readonly responderSends: string
}

const TRANSCRIPTS: readonly Transcript[] = JSON.parse(
  readFileSync('test/support/handshake-transcript.json', 'utf8'),
)

for (const { identifier, presharedKey, ...expected } of TRANSCRIPTS) {
  t.test(
    `every byte is what Python's libraries make of the white paper: ${identifier} ${presharedKey[0]}`,
    async (t) => {
      const psk = Buffer.from(presharedKey, 'hex')
      const protocol = Protocol[identifier]
      const { message, initiated, peer } = initiate(protocol, psk)
      t.equal(message.toString('hex'), expected.initiation)
      const answer = respond(protocol, message, psk)
      t.equal(answer?.message.toString('hex'), expected.response)
      t.ok(answer?.introduction?.publicKey.equals(initiator.publicKey))
      t.ok(answer?.authenticated.timestamp.equals(TIMESTAMP))
      t.equal(answer?.keys.send.toString('hex'), expected.responderSends)
      t.equal(answer?.keys.receive.toString('hex'), expected.initiatorSends)
      const keys = readResponse(initiated, initiator, peer, answer?.message ?? Buffer.alloc(0))
      t.equal(keys?.send.toString('hex'), expected.initiatorSends)
      t.equal(keys?.receive.toString('hex'), expected.responderSends)
      const { mac1, mac2 } = INITIATION
      t.same(message.subarray(mac1, mac2), Buffer.from(mac(responder.mac1Key, message.subarray(0, mac1))))
    },
  )
}

t.test('ends of different protocols, or with different preshared keys, never come to a key', async (t) => {
  const { message } = initiate(Protocol.ethernet)
  t.equal(respond(Protocol.wireguard, message), undefined)
  t.not(respond(Protocol.ethernet, message), undefined)
  const other = initiate(Protocol.wireguard, bytes(1))
  const answer = respond(Protocol.wireguard, other.message, bytes(2))
  t.not(answer, undefined, 'an initiation does not depend on the preshared key')
  t.equal(readResponse(other.initiated, initiator, other.peer, answer?.message ?? Buffer.alloc(0)), undefined)
  const right = respond(Protocol.wireguard, other.message, bytes(1))
  t.not(
    readResponse(other.initiated, initiator, other.peer, right?.message ?? Buffer.alloc(0)),
    undefined,
    'after a wrong response the right one still does',
  )
})

t.test('no bit of either message can be another, but those that only say who is to have it', async (t) => {
  const { message, initiated, peer } = initiate(Protocol.wireguard)
  const answer = respond(Protocol.wireguard, message)?.message ?? Buffer.alloc(0)
  for (let bit = 8 * 8; bit < 116 * 8; bit++) {
    const changed = Buffer.from(message)
    changed[bit >>> 3] ^= 1 << (bit & 7)
    // The curve ignores the highest bit of a point; the hash of the message does not.
    if (respond(Protocol.wireguard, changed) !== undefined) t.fail(`initiation, bit ${bit}`)
  }
  for (let bit = 12 * 8; bit < 60 * 8; bit++) {
    const changed = Buffer.from(answer)
    changed[bit >>> 3] ^= 1 << (bit & 7)
    if (readResponse(initiated, initiator, peer, changed) !== undefined) t.fail(`response, bit ${bit}`)
  }
  t.not(readResponse(initiated, initiator, peer, answer), undefined)
})

t.test('a key of small order is nobody to be acquainted with, and ends a handshake', async (t) => {
  t.equal(knowPeer(initiator, new Identity(bytes(0))), undefined)
  const { message } = initiate(Protocol.wireguard)
  message.fill(0, 8, 40)
  t.equal(readInitiation(Protocol.wireguard, responder, message), undefined)
})
