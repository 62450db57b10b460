import { randomInt } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { PeerSettings, Settings } from '../config/schema.js'
import type { NativeMemory } from '../linux/memory.js'
import { Fdb, type FdbCounts, type Pin } from '../memory/fdb.js'
import type { MemoryPlan } from '../memory/plan.js'
import { type Route, Routes } from '../memory/routes.js'
import { DEVICE } from '../memory/target.js'
import { formatMac, type MacAddress } from '../wire/ethernet.js'

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

/** Main's part of the address tables. Tells the workers the configured addresses, and forgets old ones. */
export class Addresses {
  readonly #fdb: Fdb
  readonly #routes: Routes
  readonly #mode: Settings['mode']
  readonly #startedMs = performance.now()
  #ownMac: MacAddress | undefined

  /** Must be called before the workers start. */
  constructor(memory: NativeMemory, plan: MemoryPlan, mode: Settings['mode']) {
    this.#mode = mode
    this.#fdb = new Fdb(memory, plan.fdb, plan.peerRows)
    this.#fdb.initialise(() => randomInt(2 ** 32))
    this.#routes = new Routes(memory, plan.routes, plan.routeLimit)
  }

  /**
   * Replaces all configured addresses.
   * @param ownMac the device's MAC address, which no peer can have
   * @throws RangeError if there are more addresses than there is room for
   */
  configure(peers: readonly PeerRow[], ownMac = this.#ownMac): void {
    this.#ownMac = ownMac
    this.#routes.set(peers.flatMap((peer) => routesOf(peer, this.#mode === 'tun' && peers.length === 1)))
    const own = ownMac === undefined ? [] : [pin(ownMac, DEVICE)]
    this.#fdb.pin([
      ...own,
      ...peers.flatMap(({ row: index, settings }) => settings.macs.map((it) => pin(it, index))),
    ])
  }

  /** Whether this MAC address is known to be behind a peer, in any tunnel of mode tap. */
  isBehindPeer(mac: Uint8Array): boolean {
    if (mac.length !== 6) return false
    const [a, b, c, d, e, f] = mac
    return this.#fdb.find((a << 8) | b, (c << 24) | (d << 16) | (e << 8) | f) >= 0
  }

  /** The peer is down or removed. Where its hosts are is no longer known. */
  forget(row: number): void {
    this.#fdb.forget(row)
  }

  /** Must be called once a second. */
  tick(): void {
    this.#fdb.tick(Math.floor((performance.now() - this.#startedMs) / 1000))
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

/** @param everything whether a peer without configured addresses gets all addresses */
function routesOf({ row: index, settings }: PeerRow, everything: boolean): Route[] {
  const { addresses, prefixes } = settings
  if (everything && addresses.length + prefixes.length === 0) {
    return [new Uint8Array(4), new Uint8Array(16)].map((address) => ({
      address,
      prefixLength: 0,
      peer: index,
    }))
  }
  return [...addresses.map((address) => ({ address, prefixLength: undefined })), ...prefixes].map(
    ({ address, prefixLength }) => {
      const bytes = ipaddr.parse(address).toByteArray()
      return { address: bytes, prefixLength: prefixLength ?? bytes.length * 8, peer: index }
    },
  )
}
