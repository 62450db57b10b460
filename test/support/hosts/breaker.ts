/**
 * Loaded before the program (`node --import`). It breaks the program's own classes on demand. A message from
 * the parent names an entry to main, and how often the function there throws before it works again. The program
 * is the real one; nothing in it knows of this.
 */
import { Socket } from 'node:net'
import { isMainThread } from 'node:worker_threads'
import { Addresses } from '../../../src/control/addresses.js'
import { ControlChannel } from '../../../src/control/control-channel.js'
import { IcmpWatch } from '../../../src/control/icmp-watch.js'
import { OffloadWatch } from '../../../src/control/offload.js'
import { PathMtuSearch } from '../../../src/control/path-mtu/search.js'
import { PathMtuTrace } from '../../../src/control/path-mtu/trace.js'
import { PeerPath } from '../../../src/control/peer/path.js'
import { Peer } from '../../../src/control/peer/peer.js'
import { Roster } from '../../../src/control/peer/roster.js'
import { SharedKeypairs } from '../../../src/control/private/keypairs.js'
import { Tunnel } from '../../../src/control/tunnel.js'
import { NameQuery } from '../../../src/linux/names.js'
import { Netlink, RouteMonitor } from '../../../src/linux/netlink.js'
import { KeypairTable } from '../../../src/memory/keypair-table.js'
import { Mailbox } from '../../../src/memory/mailbox.js'
import { Handshakes } from '../../../src/noise/handshakes.js'
import { Peer as NoisePeer } from '../../../src/noise/peer.js'

/** The entries to main: the function that is called there. */
const ENTRIES = {
  'a word from a worker': [ControlChannel.prototype, 'wake'],
  'a turn of a queue': [Mailbox.prototype, 'take'],
  'a control frame': [Peer.prototype, 'said'],
  'what ICMP says': [IcmpWatch.prototype, 'look'],
  "a peer's second": [Peer.prototype, 'tick'],
  'the way to a peer': [PeerPath.prototype, 'follow'],
  'another route': [RouteMonitor.prototype, 'changed'],
  rtnetlink: [Netlink.prototype, 'request'],
  'old addresses': [Addresses.prototype, 'tick'],
  'the offloads': [OffloadWatch.prototype, 'look'],
  "the device's MTU": [Roster.prototype, 'mtuBytes'],
  'a timer of the search': [PathMtuSearch.prototype, 'poll'],
  'a timer of the trace': [PathMtuTrace.prototype, 'poll'],
  'a handshake message': [Handshakes.prototype, 'take'],
  'a timer of keys': [NoisePeer.prototype, 'tick'],
  'keys that are wanted': [KeypairTable.prototype, 'takeWant'],
  'keys that are in use': [SharedKeypairs.prototype, 'confirmed'],
  'an answer of DNS': [NameQuery.prototype, 'answer'],
  status: [Tunnel.prototype, 'status'],
  'the answer to a command': [Socket.prototype, 'end'],
  reload: [Tunnel.prototype, 'reload'],
} as const satisfies Record<string, readonly [object, string]>

export type Entry = keyof typeof ENTRIES

export interface Breakage {
  readonly entry: Entry
  readonly times: number
  /** If given: only for objects with this `name`. */
  readonly name?: string
}

if (isMainThread) {
  process.on('message', (breakage: Breakage) => breakIt(breakage))
  process.channel?.unref()
  // Breaks before anything is set up.
  const atOnce = process.env.BREAK_AT_ONCE
  if (atOnce !== undefined) breakIt(JSON.parse(atOnce))
}

function breakIt({ entry, times, name }: Breakage): void {
  const [object, key] = ENTRIES[entry]
  const whole = Object.getOwnPropertyDescriptor(object, key)
  if (whole === undefined) throw new Error(`there is no ${key}`)
  let left = times
  const fails = (that: { name?: unknown }) => {
    if (name !== undefined && that.name !== name) return false
    if (--left === 0) put(object, key, whole)
    return true
  }
  const error = () => new Error(`broken: ${entry}`)
  if (whole.get !== undefined) {
    const get = function (this: object) {
      if (fails(this)) throw error()
      return whole.get?.call(this)
    }
    put(object, key, { ...whole, get })
    return
  }
  const value = function (this: object, ...args: unknown[]) {
    if (fails(this)) throw error()
    return whole.value.apply(this, args)
  }
  put(object, key, { ...whole, value })
}

function put(object: object, key: string, descriptor: PropertyDescriptor): void {
  Object.defineProperty(object, key, descriptor)
}
