import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { formatKey } from '../../key-text.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import type { PeerRow } from '../addresses.js'
import type { PeerStatus } from '../status.js'
import { formatEndpoint } from './endpoint.js'
import { Peer, type PeerContext } from './peer.js'
import type { PeerRows } from './rows.js'

const REFRESH_LOOK_MS = 20

/** Who a peer is: its key, or in a plain tunnel, where it is. Its name may change. */
function identityOf({ public_key, endpoint }: PeerSettings): string {
  return public_key === undefined ? `${endpoint?.host} ${endpoint?.port}` : formatKey(public_key)
}

/** Names of peers that came, went, and are set to something else than before. */
export interface PeerChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

export interface PeersContext extends Omit<PeerContext, 'nameAt'> {
  readonly peerRows: PeerRows
  /** Tells the workers what addresses the peers have by configuration; called whenever it is {@link Peers.rows} that change. */
  configure(): void
}

/** All the other hosts. Each has a row of the peer table, and keeps it for as long as it is a peer. */
export class Peers {
  readonly #context: PeersContext
  readonly #peers = new Map<string, Peer>()
  #settings: Settings
  #started = false

  constructor(context: PeersContext) {
    this.#context = context
    this.#settings = context.settings
    // What is wrong with a peer ends the start.
    this.#addSome(context.settings.peers, (row, settings) => this.#add(row, settings))
  }

  /**
   * Waits until the first of them has been found; the others are looked for in the background.
   * @param signal ends the wait
   * @throws UserError where none can be found
   */
  async find(signal: AbortSignal): Promise<void> {
    // Each search listens; Node takes more than ten for a leak.
    setMaxListeners(0, signal)
    const searches = [...this.#peers.values()].map((peer) => peer.find(signal))
    if (searches.length === 1) return searches[0]
    try {
      await Promise.any(searches)
    } catch (error) {
      throw (error as AggregateError).errors[0]
    }
    for (const [index, search] of searches.entries()) {
      search.catch((error: Error) => {
        if (signal.aborted) return
        const { name } = this.#settings.peers[index]
        if (!(error instanceof UserError)) {
          this.#context.faults.take('locate', error, name)
          return
        }
        this.#context.log.warn({ peer: name }, `${error.message}; carrying on without ${name}, and trying on`)
      })
    }
  }

  /** The least MTU that the device may have for any of them that is not down; undefined while there is no way. */
  get mtuBytes(): number | undefined {
    return this.#least(({ mtuBytes }) => mtuBytes)
  }

  /** The least that the ways to them carry in whole datagrams, whatever the device's MTU. */
  get carriedMtuBytes(): number | undefined {
    return this.#least(({ carriedMtuBytes }) => carriedMtuBytes)
  }

  #least(of: (peer: Peer) => number | undefined): number | undefined {
    const all = [...this.#peers.values()]
    const alive = all.filter(({ state }) => state !== 'down')
    // Where all are down, the way to them is as good a guess as any.
    const bytes = (alive.length === 0 ? all : alive).flatMap((peer) => of(peer) ?? [])
    return bytes.length === 0 ? undefined : Math.min(...bytes)
  }

  /** Those whose paths hold the device's MTU below what another one's carries. */
  get narrow(): readonly {
    readonly name: string
    readonly mtuBytes: number
    readonly othersBytes: number
  }[] {
    const alive = [...this.#peers.values()].filter(({ state }) => state !== 'down')
    const othersBytes = Math.max(0, ...alive.map(({ mtuBytes }) => mtuBytes ?? 0))
    return alive.flatMap(({ name, mtuBytes }) =>
      mtuBytes !== undefined && mtuBytes < othersBytes ? [{ name, mtuBytes, othersBytes }] : [],
    )
  }

  /** The workers run: what the paths carry can be found out. */
  start(): void {
    this.#started = true
    this.#each((peer) => peer.start())
  }

  /**
   * ICMP says that of a datagram to `sockaddr` no more than so many bytes pass, 0 if it does not say. If several
   * peers are at that address it is said of the paths to all.
   */
  hint(sockaddr: Uint8Array, mtuBytes: number): void {
    const row = this.#context.table.rowOf(sockaddr)
    const address = row < 0 ? undefined : this.at(row)?.endpoint?.address
    if (address === undefined) return
    this.#each(({ endpoint, pathMtu }) => {
      if (endpoint?.address === address) pathMtu?.hint(mtuBytes)
    })
  }

  /** The interfaces to them. */
  get interfaces(): ReadonlySet<string> {
    return new Set([...this.#peers.values()].flatMap(({ underlay }) => underlay?.interface ?? []))
  }

  /** Looks at the ways to them, of which one may have changed. */
  followUnderlays(): void {
    this.#each((peer) => peer.followUnderlay())
  }

  /** Has what the paths carry looked for again; resolves when that is known, or after `withinMs`. */
  async refreshPaths(withinMs: number): Promise<void> {
    this.#each(({ pathMtu }) => pathMtu?.refresh())
    const endMs = performance.now() + withinMs
    const settled = () => [...this.#peers.values()].every(({ pathMtu }) => pathMtu?.settled ?? true)
    while (!settled() && performance.now() < endMs) await sleep(REFRESH_LOOK_MS)
  }

  /** The greatest MTU of the interfaces to them. */
  get longestUnderlayBytes(): number {
    return Math.max(0, ...[...this.#peers.values()].map(({ underlay }) => underlay?.mtuBytes ?? 0))
  }

  /** The peer of a row, unless it has none now. */
  at(row: number): Peer | undefined {
    for (const peer of this.#peers.values()) if (peer.row === row) return peer
    return undefined
  }

  get rows(): PeerRow[] {
    return [...this.#peers.values()]
  }

  /** To be called once a second. */
  tick(): void {
    this.#each((peer) => peer.tick())
  }

  /** Does something for each, whatever comes of the others. */
  #each(work: (peer: Peer) => void): void {
    for (const peer of this.#peers.values()) this.#context.faults.run('peer', () => work(peer), peer.name)
  }

  /**
   * Makes the peers those of `settings`, one call at a time. Those that stay notice nothing. Those that are only set
   * to something else keep their rows, and with them their keys, their traffic and where they are. Those that go are
   * gone at once. Those that come may have to wait until rows are free.
   * @throws UserError for keys that nobody can talk to; nothing has changed then; or when the tunnel stops meanwhile
   */
  async apply(settings: Settings): Promise<PeerChanges> {
    const { faults, privateSide, peerRows, configure } = this.#context
    peerRows.throwIfClosed()
    const before = new Map([...this.#peers.values()].map((peer) => [identityOf(peer.settings), peer]))
    const stays = (peer: PeerSettings) => isDeepStrictEqual(peer, before.get(identityOf(peer))?.settings)
    for (const peer of settings.peers) if (!stays(peer)) privateSide?.check(peer)
    const changes = this.#changes(settings)
    const wanted = new Set(settings.peers.map(identityOf))
    for (const [identity, peer] of before) if (!wanted.has(identity)) this.#remove(peer)
    const kept = settings.peers.map((peer) => [peer, before.get(identityOf(peer))] as const)
    for (const [, peer] of kept) if (peer !== undefined) this.#peers.delete(peer.name)
    for (const [now, peer] of kept) {
      if (peer === undefined) continue
      if (!stays(now)) faults.run('peer', () => peer.change(now), now.name)
      this.#peers.set(now.name, peer)
    }
    this.#settings = settings
    let waiting: readonly PeerSettings[] = kept.flatMap(([now, peer]) => (peer === undefined ? [now] : []))
    for (;;) {
      waiting = this.#addSome(waiting, (row, peer) =>
        faults.run('peer', () => this.#add(row, peer), peer.name),
      )
      configure()
      // Not before what is configured names them no more.
      const settled = peerRows.settle()
      if (waiting.length === 0) return changes
      if (settled === undefined) throw new UserError(`there is no room for ${waiting.length} of the peers`)
      await settled
    }
  }

  /** What `settings` change, by the peers' names. */
  #changes(settings: Settings): PeerChanges {
    const wanted = new Map(settings.peers.map((peer) => [peer.name, peer]))
    const before = [...this.#peers.values()]
    const names = [...wanted.keys()]
    return {
      added: names.filter((name) => !this.#peers.has(name)),
      removed: before.map(({ name }) => name).filter((name) => !wanted.has(name)),
      changed: before
        .filter((peer) => wanted.has(peer.name) && !isDeepStrictEqual(wanted.get(peer.name), peer.settings))
        .map(({ name }) => name),
    }
  }

  #remove(peer: Peer): void {
    this.#peers.delete(peer.name)
    this.#context.faults.run('peer', () => peer.remove(), peer.name)
    this.#context.peerRows.retire(peer.row)
  }

  status(): PeerStatus[] {
    const { faults } = this.#context
    return this.#settings.peers.flatMap(
      ({ name }) => faults.run('peer', () => this.#peers.get(name)?.status(), name) ?? [],
    )
  }

  /** What is said of them when the tunnel is up. */
  summary(): string {
    const [first, ...others] = this.#peers.values()
    return others.length === 0 && first.endpoint !== undefined
      ? formatEndpoint(first.endpoint)
      : `${this.#peers.size} peers`
  }

  /** The same for the log's fields. */
  announcement(): Record<string, unknown> {
    const [first, ...others] = this.#peers.values()
    if (others.length === 0 && first.endpoint !== undefined)
      return { remote: formatEndpoint(first.endpoint), underlay: first.underlay?.interface }
    return { peers: this.status().map(({ name, endpoint }) => ({ name, endpoint })) }
  }

  warnOfMissingRoutes(): void {
    for (const { name, endpoint, underlay } of this.#peers.values()) {
      if (endpoint === undefined || underlay?.interface !== undefined) continue
      this.#context.log.warn(
        { peer: name },
        `there is no route to ${endpoint.address} yet; carrying on, and looking again every second`,
      )
    }
  }

  close(): void {
    this.#each((peer) => peer.remove())
    this.#peers.clear()
  }

  /** Adds as many as there are free rows for. @returns the others */
  #addSome(
    all: readonly PeerSettings[],
    add: (row: number, settings: PeerSettings) => void,
  ): readonly PeerSettings[] {
    const { peerRows } = this.#context
    for (const [index, settings] of all.entries()) {
      const row = peerRows.take()
      if (row === undefined) return all.slice(index)
      add(row, settings)
    }
    return []
  }

  /** @throws UserError for keys that nobody can talk to; the row is retired then */
  #add(row: number, settings: PeerSettings): void {
    const nameAt = (endpoint: Endpoint) => this.#nameAt(endpoint)
    let peer: Peer
    try {
      peer = new Peer(row, settings, { ...this.#context, nameAt })
    } catch (error) {
      this.#context.peerRows.retire(row)
      throw error
    }
    this.#peers.set(settings.name, peer)
    if (this.#started) peer.start()
  }

  #nameAt({ address, port }: Endpoint): string | undefined {
    const found = [...this.#peers.values()].find(
      ({ endpoint }) => endpoint?.address === address && endpoint.port === port,
    )
    return found?.name
  }
}
