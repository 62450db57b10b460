import { randomInt } from 'node:crypto'
import ipaddr from 'ipaddr.js'
import type { PeerSettings, Settings } from '../config/schema.js'
import type { NativeMemory } from '../linux/memory.js'
import { Fdb, type FdbCounts, type Pin } from '../memory/fdb.js'
import type { MemoryPlan } from '../memory/plan.js'
import { type Route, Routes } from '../memory/routes.js'
import { DEVICE } from '../memory/target.js'
import { formatMac, type MacAddress } from '../wire/ethernet.js'

/** A peer's row, and what it is set to. */
export interface PeerRow {
  readonly row: number
  readonly settings: PeerSettings
}

/** What `udptun-fast fdb` shows: IEEE 802.1D's forwarding database. */
export interface FdbReport {
  readonly entries: readonly {
    readonly mac: string
    /** 0: not tagged. */
    readonly vlan: number
    /** The peer's name; null for this host and what is behind its device. */
    readonly peer: string | null
    /** Seconds since it was seen last; null for one that configuration put there. */
    readonly age_s: number | null
  }[]
  /** Since the start: how many were learnt, have moved, moved too often to be followed, found no room. */
  readonly counts: FdbCounts
}

/** Main's part in knowing where addresses are: tells the workers what is configured, and forgets what is old. */
export class Addresses {
  readonly #fdb: Fdb
  readonly #routes: Routes
  readonly #mode: Settings['mode']
  readonly #startedMs = performance.now()
  #ownMac: MacAddress | undefined

  /** Before the workers start. */
  constructor(memory: NativeMemory, plan: MemoryPlan, mode: Settings['mode']) {
    this.#mode = mode
    this.#fdb = new Fdb(memory, plan.fdb, plan.peerRows)
    this.#fdb.initialise(() => randomInt(2 ** 32))
    this.#routes = new Routes(memory, plan.routes, plan.routeLimit)
  }

  /**
   * What is configured is this, and nothing else.
   * @param ownMac the device's, which no peer can have
   * @throws RangeError where there is more than there is room for
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

  /** A peer is down, or is no more: where its hosts are nobody knows. */
  forget(row: number): void {
    this.#fdb.forget(row)
  }

  /** To be called once a second. */
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

/** @param everything whether a peer that is given no addresses has all there are */
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
