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

/** What identifies a peer: its public key or, in a plain tunnel, its endpoint. Its name may change. */
function identityOf({ public_key, endpoint }: PeerSettings): string {
  return public_key === undefined ? `${endpoint?.host} ${endpoint?.port}` : formatKey(public_key)
}

/** The names of the peers that were added, removed or changed. */
export interface PeerChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

export interface PeersContext extends Omit<PeerContext, 'nameAt'> {
  readonly peerRows: PeerRows
  /**
   * Tells the workers which addresses the configuration gives to the peers. Called when {@link Peers.rows}
   * changes.
   */
  configure(): void
}

/** All the peers. Each peer has a row in the peer table and keeps it until it is removed. */
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
   * Waits until the first peer has been found. The search for the others goes on in the background.
   * @param signal aborts the wait
   * @throws UserError if none can be found
   */
  async find(signal: AbortSignal): Promise<void> {
    // Each search adds a listener. Node.js warns of a leak if there are more than ten.
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

  /**
   * The least {@link Peer.mtuBytes} of the peers that are not down; undefined if there is no route to any of
   * them.
   */
  get mtuBytes(): number | undefined {
    return this.#least(({ mtuBytes }) => mtuBytes)
  }

  /** The least {@link Peer.carriedMtuBytes} of the same peers. */
  get carriedMtuBytes(): number | undefined {
    return this.#least(({ carriedMtuBytes }) => carriedMtuBytes)
  }

  #least(of: (peer: Peer) => number | undefined): number | undefined {
    const all = [...this.#peers.values()]
    const alive = all.filter(({ state }) => state !== 'down')
    // If all peers are down, their paths are still the best guess.
    const bytes = (alive.length === 0 ? all : alive).flatMap((peer) => of(peer) ?? [])
    return bytes.length === 0 ? undefined : Math.min(...bytes)
  }

  /** The peers whose paths hold the device's MTU below what another peer's path carries. */
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

  /** The workers run now, so the path MTUs can be searched. */
  start(): void {
    this.#started = true
    this.#each((peer) => peer.start())
  }

  /**
   * An ICMP error about a datagram to `sockaddr` says that at most `mtuBytes` bytes pass; 0 if it gives no
   * size. If several peers have this address, the hint goes to all of them.
   */
  hint(sockaddr: Uint8Array, mtuBytes: number): void {
    const row = this.#context.table.rowOf(sockaddr)
    const address = row < 0 ? undefined : this.at(row)?.endpoint?.address
    if (address === undefined) return
    this.#each(({ endpoint, pathMtu }) => {
      if (endpoint?.address === address) pathMtu?.hint(mtuBytes)
    })
  }

  /** The names of the interfaces that lead to the peers. */
  get interfaces(): ReadonlySet<string> {
    return new Set([...this.#peers.values()].flatMap(({ underlay }) => underlay?.interface ?? []))
  }

  /** Follows changes of the routes to all peers. One may have changed. */
  followUnderlays(): void {
    this.#each((peer) => peer.followUnderlay())
  }

  /** Searches all path MTUs again. Resolves when they are known, or after `withinMs`. */
  async refreshPaths(withinMs: number): Promise<void> {
    this.#each(({ pathMtu }) => pathMtu?.refresh())
    const endMs = performance.now() + withinMs
    const settled = () => [...this.#peers.values()].every(({ pathMtu }) => pathMtu?.settled ?? true)
    while (!settled() && performance.now() < endMs) await sleep(REFRESH_LOOK_MS)
  }

  /** The greatest MTU of the interfaces that lead to the peers. */
  get longestUnderlayBytes(): number {
    return Math.max(0, ...[...this.#peers.values()].map(({ underlay }) => underlay?.mtuBytes ?? 0))
  }

  /** The peer of a row; undefined if the row has none now. */
  at(row: number): Peer | undefined {
    for (const peer of this.#peers.values()) if (peer.row === row) return peer
    return undefined
  }

  get rows(): PeerRow[] {
    return [...this.#peers.values()]
  }

  /** Must be called once a second. */
  tick(): void {
    this.#each((peer) => peer.tick())
  }

  /** Does the work for each peer. An error with one peer does not stop the others. */
  #each(work: (peer: Peer) => void): void {
    for (const peer of this.#peers.values()) this.#context.faults.run('peer', () => work(peer), peer.name)
  }

  /**
   * Changes the peers to those in `settings`. Calls must not overlap. An unchanged peer notices nothing. A
   * changed peer keeps its row, and with it its keys, its traffic and its endpoint. A removed peer is gone at
   * once. An added peer may have to wait until a row is free.
   * @throws UserError for impossible keys (nothing has changed then), or when the tunnel stops meanwhile
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
      // Not earlier: the configured addresses must no longer name the retired rows.
      const settled = peerRows.settle()
      if (waiting.length === 0) return changes
      if (settled === undefined) throw new UserError(`there is no room for ${waiting.length} of the peers`)
      await settled
    }
  }

  /** What `settings` change, by the names of the peers. */
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

  /** How the log names the peers when the tunnel is up. */
  summary(): string {
    const [first, ...others] = this.#peers.values()
    return others.length === 0 && first.endpoint !== undefined
      ? formatEndpoint(first.endpoint)
      : `${this.#peers.size} peers`
  }

  /** The same, as fields of the log. */
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
