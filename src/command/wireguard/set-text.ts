import { isIPv4, isIPv6 } from 'node:net'
import { isAddress, type Prefix, parsePrefix, type Remote } from '../../config/addresses.js'
import { Secret } from '../../config/secret.js'
import { parseHexKey } from '../../key-text.js'
import { EINVAL, EPROTO } from '../../linux/errno.js'
import { type PeerOperation, type SetOperation, wipeOperation } from './operation.js'

const NEWLINE = 0x0a
const EQUALS = 0x3d

const MAX_U16 = 0xffff
const MAX_U32 = 0xffff_ffff

/** A value that is being put together. */
type Draft<T> = { -readonly [K in keyof T]: T[K] }
type PeerDraft = Omit<Draft<PeerOperation>, 'allowedIps'> & { allowedIps: Prefix[] }
type DeviceDraft = Omit<Draft<SetOperation>, 'peers'> & { peers: PeerDraft[] }

/** Takes the value of one key. @returns false if it makes no sense */
type Take<T> = (value: Buffer, draft: T) => boolean

/**
 * The lines of a `set`, each with its newline, without the first line `set=1` and the empty last one.
 * @param bytes the caller wipes them; no secret in them becomes a string
 * @returns the operation, whose keys the caller wipes; or EPROTO for a line that is not `key=value`, EINVAL for a key or
 *   a value that makes no sense
 */
export function parseSet(bytes: Buffer): SetOperation | number {
  const set: DeviceDraft = { replacePeers: false, peers: [] }
  let wrong = 0
  for (let start = 0; start < bytes.length && wrong === 0; ) {
    const newline = bytes.indexOf(NEWLINE, start)
    const end = newline < 0 ? bytes.length : newline
    wrong = takeLine(bytes.subarray(start, end), set)
    start = end + 1
  }
  if (wrong === 0) return set
  wipeOperation(set)
  return wrong
}

/** @returns 0, or the errno */
function takeLine(line: Buffer, set: DeviceDraft): number {
  const equals = line.indexOf(EQUALS)
  if (equals < 0) return EPROTO
  const key = line.subarray(0, equals).toString('latin1')
  const value = line.subarray(equals + 1)
  const peer = set.peers.at(-1)
  if (key === 'public_key') return startPeer(value, set) ? 0 : EINVAL
  const taken = peer === undefined ? DEVICE_KEYS.get(key)?.(value, set) : PEER_KEYS.get(key)?.(value, peer)
  return taken === true ? 0 : EINVAL
}

function startPeer(value: Buffer, set: DeviceDraft): boolean {
  const publicKey = parseHexKey(value)
  if (publicKey === undefined) return false
  set.peers.push({ publicKey, remove: false, updateOnly: false, replaceAllowedIps: false, allowedIps: [] })
  return true
}

const DEVICE_KEYS: ReadonlyMap<string, Take<DeviceDraft>> = new Map<string, Take<DeviceDraft>>([
  [
    'private_key',
    (value, set) => {
      const key = secretIn(value)
      if (key === undefined) return false
      set.privateKey?.wipe()
      set.privateKey = key
      return true
    },
  ],
  ['listen_port', (value, set) => put(set, 'listenPort', numberIn(value, MAX_U16))],
  ['fwmark', (value, set) => put(set, 'fwmark', numberIn(value, MAX_U32))],
  [
    'replace_peers',
    (value, set) => {
      set.replacePeers = true
      return isTrue(value)
    },
  ],
])

const PEER_KEYS: ReadonlyMap<string, Take<PeerDraft>> = new Map<string, Take<PeerDraft>>([
  [
    'remove',
    (value, peer) => {
      peer.remove = true
      return isTrue(value)
    },
  ],
  [
    'update_only',
    (value, peer) => {
      peer.updateOnly = true
      return isTrue(value)
    },
  ],
  [
    'preshared_key',
    (value, peer) => {
      const key = secretIn(value)
      if (key === undefined) return false
      peer.presharedKey?.wipe()
      peer.presharedKey = key
      return true
    },
  ],
  ['endpoint', (value, peer) => put(peer, 'endpoint', endpointIn(value.toString('latin1')))],
  [
    'persistent_keepalive_interval',
    (value, peer) => put(peer, 'persistentKeepaliveS', numberIn(value, MAX_U16)),
  ],
  [
    'replace_allowed_ips',
    (value, peer) => {
      // Also those that the lines before have given.
      peer.allowedIps = []
      peer.replaceAllowedIps = true
      return isTrue(value)
    },
  ],
  [
    'allowed_ip',
    (value, peer) => {
      const prefix = prefixIn(value.toString('latin1'))
      if (prefix !== undefined) peer.allowedIps.push(prefix)
      return prefix !== undefined
    },
  ],
  ['protocol_version', (value) => value.toString('latin1') === '1'],
])

/** @param value undefined if it makes no sense; the draft stays as it is then */
function put<T, K extends keyof T>(draft: T, key: K, value: T[K] | undefined): boolean {
  if (value !== undefined) draft[key] = value
  return value !== undefined
}

function isTrue(value: Buffer): boolean {
  return value.toString('latin1') === 'true'
}

/** Decimal, from 0 to `most`. */
function numberIn(value: Buffer, most: number): number | undefined {
  const text = value.toString('latin1')
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  return number <= most ? number : undefined
}

/** @returns null for a key of zeros; undefined for what is no key */
function secretIn(value: Buffer): Secret | null | undefined {
  const key = parseHexKey(value)
  if (key === undefined) return undefined
  return key.every((byte) => byte === 0) ? null : new Secret(key)
}

/** `192.0.2.1:51820` or `[2001:db8::1]:51820`. */
function endpointIn(text: string): Remote | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^[\]:]+)):(\d+)$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || !(port <= MAX_U16) || !isAddress(host)) return undefined
  if (bracketed === undefined ? !isIPv4(host) : !isIPv6(host)) return undefined
  return { host, port }
}

/** A network with its length; the bits after it may be anything. */
function prefixIn(text: string): Prefix | undefined {
  const [, address, length] = /^([^/%]+)\/(0|[1-9]\d*)$/.exec(text) ?? []
  if (address === undefined || !(isIPv4(address) || isIPv6(address)) || !isAddress(address)) return undefined
  return Number(length) <= (isIPv4(address) ? 32 : 128) ? parsePrefix(text) : undefined
}
