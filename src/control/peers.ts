import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings, Settings } from '../config/schema.js'
import type { Endpoint } from '../linux/sockaddr.js'
import type { PeerRow } from './addresses.js'
import { formatEndpoint } from './endpoint.js'
import { Peer, type PeerContext } from './peer.js'
import type { PeerRows } from './peer-rows.js'
import type { PeerStatus } from './status.js'

const REFRESH_LOOK_MS = 20

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
    this.#addSome(context.settings.peers)
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
    for (const peer of this.#peers.values()) peer.start()
  }

  /** Follows what ICMP has said of the paths. */
  takeHints(): void {
    for (const peer of this.#peers.values()) peer.takeHint()
  }

  /** Looks at the ways to them, of which one may have changed. @throws KernelError from rtnetlink */
  followUnderlays(): void {
    for (const peer of this.#peers.values()) peer.followUnderlay()
  }

  /** Has what the paths carry looked for again; resolves when that is known, or after `withinMs`. */
  async refreshPaths(withinMs: number): Promise<void> {
    for (const { pathMtu } of this.#peers.values()) pathMtu?.refresh()
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
    for (const peer of this.#peers.values()) if (peer.index === row) return peer
    return undefined
  }

  get rows(): PeerRow[] {
    return [...this.#peers.values()]
  }

  /** To be called once a second. @throws KernelError from rtnetlink */
  tick(): void {
    for (const peer of this.#peers.values()) peer.tick()
  }

  /**
   * Makes the peers those of `settings`, one call at a time. Those that stay, by their name and all they are set to,
   * notice nothing; those that go are gone at once; those that come may have to wait until rows are free.
   * @throws UserError for keys that nobody can talk to; nothing has changed then; or when the tunnel stops meanwhile
   */
  async apply(settings: Settings): Promise<PeerChanges> {
    const { peerRows, configure } = this.#context
    peerRows.throwIfClosed()
    const wanted = new Map(settings.peers.map((peer) => [peer.name, peer]))
    const stays = ({ name }: PeerSettings) =>
      isDeepStrictEqual(wanted.get(name), this.#peers.get(name)?.settings)
    const fresh = settings.peers.filter((peer) => !stays(peer))
    for (const peer of fresh) this.#context.privateSide?.check(peer)
    const removed: string[] = []
    const changed: string[] = []
    for (const [name, peer] of this.#peers) {
      const now = wanted.get(name)
      if (now !== undefined && stays(now)) {
        // It has been read again, and the peer has its own.
        now.preshared_key_file?.wipe()
        continue
      }
      ;(now === undefined ? removed : changed).push(name)
      peer.remove()
      this.#peers.delete(name)
      peerRows.retire(peer.index)
    }
    this.#settings = settings
    const added = fresh.map(({ name }) => name).filter((name) => !changed.includes(name))
    for (let waiting: readonly PeerSettings[] = fresh; ; ) {
      waiting = this.#addSome(waiting)
      configure()
      // Not before what is configured names them no more.
      const settled = peerRows.settle()
      if (waiting.length === 0) return { added, removed, changed }
      await settled
    }
  }

  status(): PeerStatus[] {
    return this.#settings.peers.flatMap(({ name }) => this.#peers.get(name)?.status() ?? [])
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
    for (const peer of this.#peers.values()) peer.remove()
    this.#peers.clear()
  }

  /** Adds as many as there are free rows for. @returns the others */
  #addSome(all: readonly PeerSettings[]): readonly PeerSettings[] {
    for (const [index, settings] of all.entries()) {
      const row = this.#context.peerRows.take()
      if (row === undefined) return all.slice(index)
      this.#add(row, settings)
    }
    return []
  }

  #add(row: number, settings: PeerSettings): void {
    const nameAt = (endpoint: Endpoint) => this.#nameAt(endpoint)
    const peer = new Peer(row, settings, { ...this.#context, nameAt })
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
