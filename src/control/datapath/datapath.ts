import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Settings } from '../../config/schema.js'
import type { Encap } from '../../encap/encap.js'
import { UserError } from '../../errors.js'
import { KernelError } from '../../linux/errno.js'
import { CAN_KERNEL, type ControlMessage, NOT_NOW } from '../../wire/control.js'
import type { Addresses } from '../addresses.js'
import type { ControlChannel } from '../control-channel.js'
import type { Device } from '../device.js'
import type { Roster, RosterPeer } from '../peer/roster.js'
import type { Platform } from '../platform.js'
import type { Tables } from '../tables.js'
import { type Entry, newEntry } from './entry.js'
import { KernelCounters } from './kernel-counters.js'
import type { KernelPath, KernelWay } from './kernel-path.js'
import { MacTable } from './mac-table.js'
import { PrefixTable } from './prefix-table.js'
import { forbiddenBy, refuseRuledOut, type WorkerReason } from './reason.js'
import { SocketWatch } from './socket-watch.js'
import { vxlanReason } from './vxlan-reason.js'
import { wayTo } from './way.js'

/** How often we say to a peer that this end can, until it has said so, too. */
const ANNOUNCE_MS = 5_000

/** For so long after its way has changed, a peer is asked not to send by the kernel. */
const SETTLE_MS = 1_000

/** How often we look what MACs the kernel has seen. */
const SEEN_MS = 10_000

export interface DatapathContext {
  readonly settings: Settings
  readonly encap: Encap
  readonly platform: Platform
  readonly tables: Tables
  readonly roster: Roster
  readonly addresses: Addresses
  readonly channel: ControlChannel
  readonly log: Logger
}

/**
 * Decides which peers the kernel's own datapath carries, and keeps its tables. The workers carry everything else: they
 * decide and learn, and the kernel repeats what they have decided.
 */
export class Datapath {
  readonly #context: DatapathContext
  readonly #entries = new Map<number, Entry>()
  /** Until the programs are loaded for it. */
  #device: Device | undefined
  #path: KernelPath | undefined
  /** Only one of them is there: the one of the device's mode. */
  #macs: MacTable | undefined
  #prefixes: PrefixTable | undefined
  #counters: KernelCounters | undefined
  /** Why no peer is carried by the kernel; undefined if some may be. */
  #none: WorkerReason | undefined
  #seenMs = 0

  constructor(context: DatapathContext) {
    this.#context = context
    this.#none = forbiddenBy(context.settings)
    context.channel.onMessage((row, message) => this.#said(row, message))
  }

  /**
   * The device is there. The kernel takes some time for the programs. If they are not a must, that is done at the first
   * look, when the workers carry frames already.
   * @throws UserError if the settings want the kernel's datapath, and there is none
   */
  open(device: Device): void {
    const { settings } = this.#context
    refuseRuledOut(settings)
    if (this.#none !== undefined) return
    this.#device = device
    if (settings.datapath === 'kernel') this.#load(device)
  }

  /** @throws UserError if the settings want the kernel's datapath, and there is none */
  #load(device: Device): void {
    const { settings, encap, platform, tables, log } = this.#context
    const wanted = settings.datapath === 'kernel'
    this.#device = undefined
    try {
      this.#path = platform.openKernelPath(device)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      this.#none = 'kernel'
      const why = `the kernel's own datapath cannot be used (${error.message}); it needs Linux 6.6, CAP_BPF and CAP_NET_RAW`
      if (wanted) throw new UserError(`${why}; leave out --datapath kernel to go on without`)
      log.info(`${why}; the workers carry all frames`)
      return
    }
    if (settings.mode === 'tap') this.#macs = new MacTable(this.#path)
    else this.#prefixes = new PrefixTable(this.#path)
    this.#counters = new KernelCounters(this.#path, tables)
    if (encap.vni !== undefined) return
    // What the other end's program has sent may reach the socket, if it comes by another interface.
    platform.socket.receiveUnsummed()
  }

  /** What this end can do for the peer in a row, as hellos say it (wire/control.ts). */
  featuresFor(row: number): number {
    if (this.#path === undefined || this.#context.encap.vni !== undefined) return 0
    const entry = this.#entries.get(row)
    const settled = entry === undefined || this.#context.platform.clock.nowMs() >= entry.settledMs
    return CAN_KERNEL | (settled && entry?.hindrance === undefined ? 0 : NOT_NOW)
  }

  /** Must be called some times a second, and after each change of the peers. @throws KernelError */
  look(): void {
    if (this.#device !== undefined) this.#load(this.#device)
    const path = this.#path
    if (path === undefined) return
    const { roster, addresses, platform } = this.#context
    const nowMs = platform.clock.nowMs()
    for (const { peer } of [...this.#entries.values()])
      if (roster.at(peer.row) !== peer) this.#forget(path, peer.row)
    // Nobody need look at this host before there is a peer that the kernel might carry.
    const mayCarry = [...this.#entries.values()].some(({ capable }) => capable)
    const hindrance = mayCarry ? (path.hindrance as WorkerReason | undefined) : undefined
    const isPolicied = path.policies()
    let failure: KernelError | undefined
    for (const peer of roster.all) {
      const entry = this.#entryOf(peer)
      try {
        this.#ask(path, isPolicied, entry, nowMs)
        this.#follow(path, entry, hindrance, nowMs)
      } catch (error) {
        // The others need not wait for it. It is tried again at the next look.
        if (!(error instanceof KernelError)) throw error
        failure ??= error
      }
    }
    this.#learn(path)
    if (nowMs - this.#seenMs >= SEEN_MS) {
      this.#seenMs = nowMs
      for (const { mac, port } of this.#macs?.seen() ?? []) addresses.saw(mac, port)
    }
    const isCarried = (row: number) => this.#entries.has(row) && this.reasonOf(row) === undefined
    this.#macs?.follow(addresses.entries(), isCarried)
    this.#prefixes?.follow(addresses.routes, isCarried)
    path.carry(hindrance === undefined && [...this.#entries.values()].some(({ way }) => way !== undefined))
    if (failure !== undefined) throw failure
  }

  /** Why the workers carry the peer in this row; undefined if the kernel does. */
  reasonOf(row: number): WorkerReason | undefined {
    return this.#none ?? (this.#entries.has(row) ? this.#entries.get(row)?.reason : 'no_way')
  }

  close(): void {
    this.#path?.close()
    this.#path = undefined
    this.#device = undefined
  }

  #entryOf(peer: RosterPeer): Entry {
    const known = this.#entries.get(peer.row)
    if (known !== undefined) return known
    const { encap, tables } = this.#context
    const watch = encap.vni === undefined ? undefined : new SocketWatch(peer.row, tables)
    const entry = newEntry(peer, watch)
    this.#entries.set(peer.row, entry)
    return entry
  }

  #forget(path: KernelPath, row: number): void {
    this.#counters?.look(row)
    path.removePeer(row)
    if (this.#context.encap.vni === undefined) this.#context.tables.peers.setLacksSums(row, false)
    this.#entries.delete(row)
  }

  /** Looks at what this host does to datagrams of a peer that may be carried, and tells the peer what has changed. */
  #ask(path: KernelPath, isPolicied: (way: KernelWay) => boolean, entry: Entry, nowMs: number): void {
    const way = entry.capable ? wayTo(this.#context, entry.peer) : undefined
    const hindrance = way && entry.passage.hindrance(path, isPolicied, way, nowMs)
    if (hindrance === entry.hindrance) return
    entry.hindrance = hindrance
    if (entry.capable) this.#greet(entry, nowMs)
  }

  #follow(path: KernelPath, entry: Entry, hindrance: WorkerReason | undefined, nowMs: number): void {
    // Only a peer that the programs know has counts.
    if (entry.way !== undefined) this.#counters?.look(entry.peer.row)
    if (entry.watch?.look()) entry.passage.heard(nowMs)
    const before = entry.reason
    try {
      entry.reason = this.#reason(path, entry, hindrance, nowMs)
    } catch (error) {
      entry.reason = 'unproved'
      throw error
    } finally {
      if ((before === undefined) !== (entry.reason === undefined)) this.#tell(entry)
    }
  }

  #reason(
    path: KernelPath,
    entry: Entry,
    hindrance: WorkerReason | undefined,
    nowMs: number,
  ): WorkerReason | undefined {
    const { peer, proof, passage, watch } = entry
    if (peer.row >= path.rows) return 'rows'
    const there = wayTo(this.#context, peer)
    // What netfilter or IPsec would not let in, the programs must not, either.
    const mayTake = entry.hindrance !== 'ipsec' && hindrance !== 'device_down'
    const takes = there !== undefined && passage.isHeard(nowMs) && mayTake
    // A peer of VXLAN may have nothing to say.
    const way = takes || watch !== undefined ? there : undefined
    if (takes !== entry.takes || !isDeepStrictEqual(way, entry.way)) {
      const same = isDeepStrictEqual(endsOf(way), endsOf(entry.way))
      if (!same || way === undefined) proof.reset()
      // What it sends may come another way meanwhile, where the program does not take it.
      const moved = !same && entry.way !== undefined && entry.capable
      if (moved) entry.settledMs = nowMs + SETTLE_MS
      if (moved) this.#greet(entry, nowMs)
      entry.way = undefined
      entry.takes = takes
      if (way === undefined) path.removePeer(peer.row)
      else if (path.setPeer(peer.row, way, takes)) entry.way = way
    }
    if (watch !== undefined) return vxlanReason(entry, there, hindrance)
    if (there === undefined) return 'no_way'
    if (!entry.capable) {
      this.#announce(entry, nowMs)
      return 'peer'
    }
    const due = proof.isDue(nowMs)
    if (due) this.#greet(entry, nowMs)
    if (entry.hindrance !== undefined) return entry.hindrance
    if (entry.notNow) return 'other_end'
    if (way === undefined) return hindrance ?? 'unproved'
    if (entry.way === undefined) return 'underlay'
    if (hindrance !== undefined) return hindrance
    if (due && proof.mayProbe(nowMs)) this.#probe(path, entry)
    return proof.holds(nowMs) ? undefined : 'unproved'
  }

  /** Says to a peer that this end can. Only an end that sends control frames may understand that. */
  #announce(entry: Entry, nowMs: number): void {
    const { channel } = this.#context
    if (!entry.talks || nowMs - entry.announcedMs < ANNOUNCE_MS) return
    entry.announcedMs = nowMs
    channel.hello(entry.peer.row, channel.newToken())
  }

  /** A keepalive by the sockets: both ends see that netfilter lets it pass. */
  #greet({ peer, proof }: Entry, nowMs: number): void {
    const { channel } = this.#context
    const token = channel.newToken()
    proof.greeted(token, nowMs)
    channel.hello(peer.row, token)
  }

  #probe(path: KernelPath, { peer, proof }: Entry): void {
    const mac = Uint8Array.from(this.#context.platform.random(6))
    // Locally administered, and no group.
    mac[0] = (mac[0] & 0xfc) | 0x02
    proof.probed(numberOf(mac))
    // Or the workers would take it, and send it as a frame.
    path.carry(true)
    path.probe(peer.row, mac)
  }

  /** Takes what the kernel has seen: MACs for the FDB, and the probes of other ends. */
  #learn(path: KernelPath): void {
    const { addresses, channel } = this.#context
    for (const { mac, row, probe } of path.news()) {
      if (!this.#entries.has(row)) continue
      if (probe) channel.send(row, { type: 'kernel_ack', token: numberOf(mac), sizeBytes: 0 })
      else addresses.saw(mac, row)
    }
  }

  #said(row: number, { type, token, sizeBytes }: ControlMessage): void {
    const entry = this.#entries.get(row)
    if (entry === undefined || this.#path === undefined) return
    const nowMs = this.#context.platform.clock.nowMs()
    entry.talks = true
    const wasHeard = entry.passage.isHeard(nowMs)
    entry.passage.heard(nowMs)
    if (type === 'hello') {
      const capable = (sizeBytes & CAN_KERNEL) !== 0
      if (capable && !entry.capable) this.#announce(entry, nowMs)
      this.#setCapable(entry, capable)
      this.#setNotNow(entry, (sizeBytes & NOT_NOW) !== 0)
    } else if (type === 'hello_ack') entry.proof.helloAnswered(token, nowMs)
    else if (type === 'kernel_ack') entry.proof.probeAnswered(token, nowMs)
    // Its first probe may be on the way already.
    if (!wasHeard) this.look()
  }

  /** This takes effect at once, because until then our frames may be lost there. */
  #setNotNow(entry: Entry, notNow: boolean): void {
    if (entry.notNow === notNow) return
    entry.notNow = notNow
    entry.proof.reset()
    this.look()
  }

  /** Once it knows that we can, too, its datagrams may have no checksum. */
  #setCapable(entry: Entry, capable: boolean): void {
    if (entry.capable === capable) return
    entry.capable = capable
    this.#context.tables.peers.setLacksSums(entry.peer.row, capable)
  }

  #tell({ peer, reason }: Entry): void {
    const { log } = this.#context
    const by = reason === undefined ? 'kernel' : 'workers'
    log.info(
      { peer: peer.name, datapath: by, reason: reason ?? null },
      `${peer.name} is carried by the ${by} now`,
    )
  }
}

/** What a proof is good for. Another router on the way may be proved in its time. */
function endsOf(way: KernelWay | undefined) {
  return way && { ...way, longestFrameBytes: 0, gateway: undefined }
}

function numberOf(mac: Uint8Array): bigint {
  return mac.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n)
}
