/**
 * The handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, as in section 5.4 of WireGuard's white paper. Each end
 * sends one message, and then both ends have two keys. The functions here only compute. The caller keeps the
 * time, the ephemeral keys and the peers. macs.ts adds the macs; the udp worker checks them
 * (worker/inbound/mac-check.ts).
 */
import type { KeyObject } from 'node:crypto'
import {
  agree,
  EMPTY,
  hash,
  importPublicKey,
  kdf,
  makePrivateKey,
  open,
  publicKeyOf,
  seal,
  wipe,
} from '../crypto/primitives.js'
import { secretBytes } from '../key-text.js'
import { INITIATION, MESSAGE, PUBLIC_KEY_BYTES, RESPONSE } from '../wire/wireguard.js'
import type { Identity, OwnIdentity } from './keys.js'

const CONSTRUCTION = Buffer.from('Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s')

/**
 * What two ends must agree on before the first message. The identifier is hashed into everything. So ends with
 * different protocols never get a key.
 */
export class Protocol {
  /** IP packets between WireGuard peers. */
  static readonly wireguard = new Protocol('WireGuard v1 zx2c4 Jason@zx2c4.com')
  /** Ethernet frames between ends of this program. */
  static readonly ethernet = new Protocol('udptun-fast v1 Ethernet frames')
  readonly chainingKey: Buffer
  readonly hash: Buffer

  private constructor(identifier: string) {
    this.chainingKey = hash(CONSTRUCTION)
    this.hash = hash(this.chainingKey, Buffer.from(identifier))
  }
}

/** What this end knows of a peer. The bytes of both secrets can change. */
export interface KnownPeer {
  readonly identity: Identity
  /** Curve25519 of the two static keys; the same at both ends. Zeros while this end has no key. */
  readonly staticSecret: Buffer
  /** 32 bytes, zeros if there is none. */
  readonly presharedKey: Buffer
}

/** Undefined for a public key that nobody can have agreed on: a point of small order. */
export function knowPeer(
  own: OwnIdentity | undefined,
  identity: Identity,
  presharedKey: Uint8Array = new Uint8Array(PUBLIC_KEY_BYTES),
): KnownPeer | undefined {
  const staticSecret = staticSecretOf(own, identity)
  if (staticSecret === undefined) return undefined
  const copy = secretBytes(presharedKey.length)
  copy.set(presharedKey)
  return { identity, staticSecret, presharedKey: copy }
}

/** This end has another private key, or none. */
export function knowAgain(own: OwnIdentity | undefined, { identity, staticSecret }: KnownPeer): void {
  const secret = staticSecretOf(own, identity)
  if (secret === undefined) throw new Error('a point of small order')
  staticSecret.set(secret)
  wipe(secret)
}

/** Of no use but to find out whether a public key is one that nobody can agree on. */
let anybody: KeyObject | undefined

/** Zeros if this end has no key; undefined as {@link knowPeer}. */
function staticSecretOf(own: OwnIdentity | undefined, { key }: Identity): Buffer | undefined {
  anybody ??= makePrivateKey()
  const secret = agree(own?.privateKey ?? anybody, key)
  if (own === undefined) secret?.fill(0)
  return secret
}

/** The keys of a keypair, 32 bytes each, named by their use at this end. */
export interface TransportKeys {
  readonly send: Buffer
  readonly receive: Buffer
}

/** What the initiator must remember until the response comes. */
export interface Initiated {
  readonly chainingKey: Buffer
  readonly hash: Buffer
  readonly ephemeral: KeyObject
}

/** An initiation of which the sender's public key has been read. It is not authenticated yet. */
export interface Introduction {
  readonly sender: number
  readonly publicKey: Buffer
  readonly chainingKey: Buffer
  readonly hash: Buffer
  readonly ephemeral: KeyObject
  readonly sealedTimestamp: Buffer
}

/** An initiation that was proved to come from its sender. */
export interface Authenticated {
  readonly sender: number
  readonly chainingKey: Buffer
  readonly hash: Buffer
  readonly ephemeral: KeyObject
  readonly timestamp: Buffer
}

/**
 * Makes an initiation.
 * @param sender this end's index for the new keypair
 * @param ephemeral a new private key, of no other use
 * @param timestamp see tai64n.ts
 * @returns the message without its macs, and what to remember
 */
export function createInitiation(
  protocol: Protocol,
  own: OwnIdentity,
  peer: KnownPeer,
  sender: number,
  ephemeral: KeyObject,
  timestamp: Uint8Array,
): { message: Buffer; initiated: Initiated } {
  const message = Buffer.alloc(INITIATION.size)
  message.writeUInt32LE(MESSAGE.initiation, INITIATION.type)
  message.writeUInt32LE(sender, INITIATION.sender)
  const ephemeralPublic = publicKeyOf(ephemeral)
  message.set(ephemeralPublic, INITIATION.ephemeral)

  let h = hash(protocol.hash, peer.identity.publicKey)
  let [ck] = kdf(1, protocol.chainingKey, ephemeralPublic)
  let key: Buffer
  h = hash(h, ephemeralPublic)
  const secret = secretOf(ephemeral, peer.identity.key)
  ;[ck, key] = mix(2, ck, secret)
  wipe(secret)
  const sealedStatic = seal(key, own.publicKey, h)
  message.set(sealedStatic, INITIATION.static)
  wipe(key)
  h = hash(h, sealedStatic)
  ;[ck, key] = mix(2, ck, peer.staticSecret)
  const sealedTimestamp = seal(key, timestamp, h)
  message.set(sealedTimestamp, INITIATION.timestamp)
  wipe(key)
  h = hash(h, sealedTimestamp)
  return { message, initiated: { chainingKey: ck, hash: h, ephemeral } }
}

/**
 * Reads who an initiation claims to be from; undefined if this end cannot read it. Computes Curve25519 once.
 */
export function readInitiation(
  protocol: Protocol,
  own: OwnIdentity,
  message: Buffer,
): Introduction | undefined {
  const ephemeralPublic = message.subarray(INITIATION.ephemeral, INITIATION.static)
  const sealedStatic = message.subarray(INITIATION.static, INITIATION.timestamp)
  const ephemeral = importPublicKey(ephemeralPublic)
  const secret = agree(own.privateKey, ephemeral)
  if (secret === undefined) return undefined
  const h = hash(hash(protocol.hash, own.publicKey), ephemeralPublic)
  const [first] = kdf(1, protocol.chainingKey, ephemeralPublic)
  const [chainingKey, key] = mix(2, first, secret)
  wipe(secret)
  const publicKey = open(key, sealedStatic, h)
  wipe(key)
  if (publicKey === undefined) return undefined
  return {
    sender: message.readUInt32LE(INITIATION.sender),
    publicKey,
    chainingKey,
    hash: hash(h, sealedStatic),
    ephemeral,
    sealedTimestamp: message.subarray(INITIATION.timestamp, INITIATION.mac1),
  }
}

/** Checks that the introduction comes from this peer; undefined if it does not. */
export function authenticate(introduction: Introduction, peer: KnownPeer): Authenticated | undefined {
  const { sealedTimestamp } = introduction
  const [chainingKey, key] = kdf(2, introduction.chainingKey, peer.staticSecret)
  const timestamp = open(key, sealedTimestamp, introduction.hash)
  wipe(key)
  if (timestamp === undefined) return undefined
  return {
    sender: introduction.sender,
    chainingKey,
    hash: hash(introduction.hash, sealedTimestamp),
    ephemeral: introduction.ephemeral,
    timestamp,
  }
}

/**
 * Makes the response to an initiation, without its macs, and the keys. Undefined if no secret can be agreed on
 * with the initiator's ephemeral key.
 * @param sender this end's index
 * @param ephemeral a new private key, of no other use
 */
export function createResponse(
  initiation: Authenticated,
  peer: KnownPeer,
  sender: number,
  ephemeral: KeyObject,
): { message: Buffer; keys: TransportKeys } | undefined {
  const message = Buffer.alloc(RESPONSE.size)
  message.writeUInt32LE(MESSAGE.response, RESPONSE.type)
  message.writeUInt32LE(sender, RESPONSE.sender)
  message.writeUInt32LE(initiation.sender, RESPONSE.receiver)
  const ephemeralPublic = publicKeyOf(ephemeral)
  message.set(ephemeralPublic, RESPONSE.ephemeral)
  const secret = agree(ephemeral, initiation.ephemeral)
  if (secret === undefined) return undefined

  let h = hash(initiation.hash, ephemeralPublic)
  let [ck] = mix(1, initiation.chainingKey, ephemeralPublic)
  ;[ck] = mix(1, ck, secret)
  const staticSecret = secretOf(ephemeral, peer.identity.key)
  ;[ck] = mix(1, ck, staticSecret)
  wipe(secret, staticSecret)
  const [last, hashed, key] = mix(3, ck, peer.presharedKey)
  h = hash(h, hashed)
  message.set(seal(key, EMPTY, h), RESPONSE.nothing)
  wipe(hashed, key)
  const [receive, send] = mix(2, last, EMPTY)
  return { message, keys: { send, receive } }
}

/** The keys that a response gives to the initiator; undefined if the message is not the right response. */
export function readResponse(
  initiated: Initiated,
  own: OwnIdentity,
  peer: KnownPeer,
  message: Buffer,
): TransportKeys | undefined {
  const ephemeralPublic = message.subarray(RESPONSE.ephemeral, RESPONSE.nothing)
  const ephemeral = importPublicKey(ephemeralPublic)
  const secret = agree(initiated.ephemeral, ephemeral)
  const ownSecret = agree(own.privateKey, ephemeral)
  if (secret === undefined || ownSecret === undefined) {
    wipe(...[secret, ownSecret].filter((it) => it !== undefined))
    return undefined
  }
  let h = hash(initiated.hash, ephemeralPublic)
  // Not `mix`: if this message is not the right one, the chaining key is still needed.
  let [ck] = kdf(1, initiated.chainingKey, ephemeralPublic)
  ;[ck] = mix(1, ck, secret)
  ;[ck] = mix(1, ck, ownSecret)
  wipe(secret, ownSecret)
  const [last, hashed, key] = mix(3, ck, peer.presharedKey)
  h = hash(h, hashed)
  const nothing = open(key, message.subarray(RESPONSE.nothing, RESPONSE.mac1), h)
  wipe(hashed, key)
  if (nothing === undefined) {
    wipe(last)
    return undefined
  }
  const [send, receive] = mix(2, last, EMPTY)
  return { send, receive }
}

/** {@link kdf}, which then wipes the old chaining key. */
function mix(count: number, chainingKey: Buffer, input: Uint8Array): Buffer[] {
  const keys = kdf(count, chainingKey, input)
  wipe(chainingKey)
  return keys
}

/** Agrees on a secret with a peer's static key. That worked before, so the key cannot be of small order. */
function secretOf(ephemeral: KeyObject, key: KeyObject): Buffer {
  const secret = agree(ephemeral, key)
  if (secret === undefined) throw new RangeError('a public key of small order')
  return secret
}
