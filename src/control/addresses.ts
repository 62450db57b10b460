import ipaddr from 'ipaddr.js'
import type { PeerSettings, Settings } from '../config/schema.js'
import { type FdbCounts, type FdbEntry, FdbUpkeep, type Pin } from '../memory/fdb-upkeep.js'
import { Flows } from '../memory/flows.js'
import type { Route } from '../memory/prefixes.js'
import { Routes } from '../memory/routes.js'
import { DEVICE } from '../memory/target.js'
import { formatMac, type MacAddress } from '../wire/ethernet.js'
import type { Clock, Timer } from './clock.js'
import type { Platform } from './platform.js'

/**
 * What is to be forgotten waits so long at most. To forget is to look at all entries, and an uplink that fails takes
 * thousands of peers down in one turn.
 */
const FORGET_MS = 50

/** A peer's row and settings. */
export interface PeerRow {
  readonly row: number
  readonly settings: PeerSettings
}

/** What `udptun-fast fdb` shows: the forwarding database of IEEE 802.1D. */
export interface FdbReport {
  readonly entries: readonly {
    readonly mac: string
    /** 0 if the frames had no VLAN tag. */
    readonly vlan: number
    /** The peer's name; null for this host and the hosts behind its device. */
    readonly peer: string | null
    /** Seconds since the address was last seen; null if it comes from the configuration. */
    readonly age_s: number | null
  }[]
  /**
   * Counts since the start: addresses learnt, addresses moved, moves that came too often to follow, addresses
   * without room.
   */
  readonly counts: FdbCounts
}

/** What `udptun-fast status` shows of it. */
export interface FdbSummary extends FdbCounts {
  readonly entries: number
}

/** Main's part of the address tables. Tells the workers the configured addresses, and forgets old ones. */
export class Addresses {
  readonly #fdb: FdbUpkeep
  readonly #routes: Routes
  readonly #heirs: Routes
  readonly #mode: Settings['mode']
  readonly #clock: Clock
  readonly #startedMs: number
  #ownMac: MacAddress | undefined
  #configured: readonly Route[] = []
  readonly #toForget = new Set<number>()
  #forgetting: Timer | undefined

  /** Must be called before the workers start. */
  constructor(platform: Pick<Platform, 'clock' | 'memory' | 'plan' | 'random'>, mode: Settings['mode']) {
    const { clock, memory, plan } = platform
    this.#mode = mode
    this.#clock = clock
    this.#startedMs = clock.nowMs()
    this.#fdb = new FdbUpkeep(memory, plan.fdb, plan.peerRows)
    this.#fdb.initialise(() => platform.random(4).readUInt32LE())
    Flows.initialise(memory, plan.flows, platform.random(4).readInt32LE())
    this.#routes = new Routes(memory, plan.routes, plan.routeLimit)
    this.#heirs = new Routes(memory, plan.heirs, plan.routeLimit)
  }

  /** The device exists, with this MAC address; undefined in tun mode. No peer can have it. */
  setOwnMac(mac: MacAddress | undefined): void {
    this.#ownMac = mac
  }

  /**
   * Replaces all configured addresses.
   * @param heirs who else may send from addresses that change hands, in mode tun
   * @throws RangeError if there are more addresses than there is room for
   */
  configure(peers: readonly PeerRow[], heirs: readonly PeerRow[] = []): void {
    this.#forgetNow()
    // First, so that there is no moment when neither may send.
    this.#heirs.set(heirs.flatMap((peer) => routesOf(peer, false)))
    const ownMac = this.#ownMac
    const routes = peers.flatMap((peer) => routesOf(peer, this.#mode === 'tun'))
    this.#routes.set(routes)
    this.#configured = routes
    const own = ownMac === undefined ? [] : [pin(ownMac, DEVICE)]
    this.#fdb.pin([
      ...own,
      ...peers.flatMap(({ row: index, settings }) => settings.macs.map((it) => pin(it, index))),
    ])
  }

  /** Of the device; undefined in tun mode, and before there is a device. */
  get ownMac(): MacAddress | undefined {
    return this.#ownMac
  }

  /** Whether this MAC address is known to be behind a peer, in any tunnel of mode tap. */
  isBehindPeer(mac: Uint8Array): boolean {
    if (mac.length !== 6) return false
    const [a, b, c, d, e, f] = mac
    return this.#fdb.find((a << 8) | b, (c << 24) | (d << 16) | (e << 8) | f) >= 0
  }

  /** The routes to the peers' prefixes. Of two with the same prefix, the later one counts. */
  get routes(): readonly Route[] {
    return this.#configured
  }

  /** All that is known of MACs now. */
  entries(): Iterable<FdbEntry> {
    return this.#fdb.list()
  }

  /** The kernel's own datapath has seen a frame from this MAC at a port. */
  saw(mac: Uint8Array, port: number): void {
    const [a, b, c, d, e, f] = mac
    this.#fdb.learn((a << 8) | b, (c << 24) | (d << 16) | (e << 8) | f, port)
  }

  /** The peer is down or elsewhere. Where its hosts are is no longer known, at the latest in {@link FORGET_MS}. */
  forget(row: number): void {
    this.#toForget.add(row)
    this.#forgetting ??= this.#clock.after(FORGET_MS, () => this.#forgetNow())
  }

  /** The same for a peer that is removed, at the next {@link configure}. */
  forgetLater(row: number): void {
    this.#toForget.add(row)
  }

  #forgetNow(): void {
    this.#forgetting?.cancel()
    this.#forgetting = undefined
    if (this.#toForget.size > 0) this.#fdb.forgetAll(this.#toForget)
    this.#toForget.clear()
  }

  /** Nothing is forgotten any more. */
  close(): void {
    this.#forgetting?.cancel()
    this.#toForget.clear()
  }

  /** The row of a peer that has sent with the device's MAC address since the last call, and that address. */
  takeTwin(): { readonly row: number; readonly mac: string } | undefined {
    const row = this.#fdb.takeTwin()
    return row === undefined || this.#ownMac === undefined ? undefined : { row, mac: formatMac(this.#ownMac) }
  }

  /** Must be called once a second. */
  tick(): void {
    this.#fdb.tick(Math.floor((this.#clock.nowMs() - this.#startedMs) / 1000))
  }

  /** Null in tun mode, which has no MAC addresses. */
  summary(): FdbSummary | null {
    return this.#mode === 'tap' ? { entries: this.#fdb.size, ...this.#fdb.counts } : null
  }

  /** @param nameOf the name of a row's peer */
  report(nameOf: (row: number) => string | undefined): FdbReport {
    const entries = [...this.#fdb.list()].map(({ macHigh, macLow, vlan, port, ageS }) => ({
      mac: formatMac([macHigh >>> 8, macHigh & 0xff, ...bytesOf(macLow)]),
      vlan,
      peer: port === DEVICE ? null : (nameOf(port) ?? `#${port}`),
      age_s: ageS ?? null,
    }))
    return { entries, counts: this.#fdb.counts }
  }
}

function bytesOf(word: number): number[] {
  return [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff]
}

function pin(mac: MacAddress, port: number): Pin {
  const [a, b, c, d, e, f] = mac
  return { macHigh: (a << 8) | b, macLow: ((c << 24) | (d << 16) | (e << 8) | f) >>> 0, port }
}

/** All routes are set whenever one of them changes, and most are the same objects as before. */
const known = new WeakMap<
  PeerSettings,
  { readonly row: number; readonly tun: boolean; readonly routes: readonly Route[] }
>()

/** @param tun whether a peer that has everything gets all addresses */
function routesOf(peer: PeerRow, tun: boolean): readonly Route[] {
  const before = known.get(peer.settings)
  if (before?.row === peer.row && before.tun === tun) return before.routes
  const routes = makeRoutes(peer, tun)
  known.set(peer.settings, { row: peer.row, tun, routes })
  return routes
}

function makeRoutes({ row: index, settings }: PeerRow, tun: boolean): Route[] {
  const { addresses, prefixes, everything } = settings
  if (tun && everything) {
    return [new Uint8Array(4), new Uint8Array(16)].map((address) => ({
      address,
      prefixLength: 0,
      row: index,
    }))
  }
  return [...addresses.map((address) => ({ address, prefixLength: undefined })), ...prefixes].map(
    ({ address, prefixLength }) => {
      const bytes = ipaddr.parse(address).toByteArray()
      return { address: bytes, prefixLength: prefixLength ?? bytes.length * 8, row: index }
    },
  )
}
