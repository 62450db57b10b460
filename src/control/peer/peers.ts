import { setMaxListeners } from 'node:events'
import { isDeepStrictEqual } from 'node:util'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import { publicKeyText } from '../../key-text.js'
import { Rates } from '../../rates.js'
import { pause } from '../clock.js'
import type { PeerStatus } from '../status.js'
import type { PeerContext } from './context.js'
import { Handovers } from './handover.js'
import { Peer } from './peer.js'
import type { Roster } from './roster.js'
import type { PeerRows } from './rows.js'

const REFRESH_LOOK_MS = 20

/** One Mbit/s, in bytes in a millisecond. */
const BYTES_PER_MS = 125

/**
 * How long the start waits for names. Most name servers answer in this time. The device then has the right MTU from
 * the start.
 */
const NAMES_MS = 100

/**
 * How often it is followed in a second, and in one burst, that a peer speaks to another address of this host. Anybody
 * who forges a plain peer's address can say so.
 */
const LOCALS_PER_SECOND = 5
const LOCALS_BURST = 10

/** What identifies a peer: its public key or, in a plain tunnel, its endpoint. Its name may change. */
function identityOf({ public_key, endpoint }: PeerSettings): string {
  return public_key === undefined ? `${endpoint?.host} ${endpoint?.port}` : publicKeyText(public_key)
}

/** The settings of a peer that is not where its addresses lead yet. */
function nowhere({ settings }: Peer): PeerSettings {
  return { ...settings, addresses: [], prefixes: [], macs: [] }
}

const NOBODY: ReadonlySet<string> = new Set()

/** The names of the peers that were added, removed or changed. */
export interface PeerChanges {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

export interface PeersContext extends PeerContext {
  readonly roster: Roster<Peer>
  readonly peerRows: PeerRows
}

/** The peers' comings and goings. Each peer has a row in the peer table and keeps it until it is removed. */
export class Peers {
  readonly #context: PeersContext
  readonly #roster: Roster<Peer>
  readonly #locals: Rates
  #settings: Settings
  #started = false
  readonly #handovers = new Handovers()

  constructor(context: PeersContext) {
    this.#context = context
    this.#roster = context.roster
    this.#settings = context.settings
    this.#locals = new Rates(context.tables.peers.rows, LOCALS_PER_SECOND, LOCALS_BURST)
    // What is wrong with a peer ends the start.
    this.#addSome(context.settings.peers, (row, settings) => this.#add(row, settings))
  }

  /**
   * Begins to look for all peers. Waits until the first has been found. Without the setting `wait`, it waits for names
   * only {@link NAMES_MS}. The search goes on in the background.
   * @param signal aborts the wait
   * @throws UserError if there are some, and none can be found. Without the setting `wait`, a name is always looked up again.
   */
  async find(signal: AbortSignal): Promise<void> {
    // Each search adds a listener. Node.js warns of a leak if there are more than ten.
    setMaxListeners(0, signal)
    const { all } = this.#roster
    if (all.length === 0) return
    const searches = all.map((peer) => peer.find(signal))
    const first = Promise.any(searches).catch(({ errors }: AggregateError) => {
      throw errors[0]
    })
    const hasNames = all.some((peer) => peer.hasName)
    if (this.#settings.wait || !hasNames) await first
    else await this.#withinMs(NAMES_MS, first, signal)
    for (const [index, search] of searches.entries()) {
      search.catch((error: Error) => {
        if (!signal.aborted) all[index].notFound(error)
      })
    }
  }

  /** Waits until `work` has ended in any way, but at most so long. @throws the reason of `signal` */
  async #withinMs(ms: number, work: Promise<void>, signal: AbortSignal): Promise<void> {
    const end = new AbortController()
    const over = pause(this.#context.platform.clock, ms, end.signal).catch(() => {})
    await Promise.race([work.catch(() => {}), over])
    end.abort()
    signal.throwIfAborted()
  }

  /** The workers run now, so the path MTUs can be searched. */
  start(): void {
    this.#started = true
    this.#each((peer) => peer.start())
  }

  /** The address of the peer with this socket address; undefined if no peer is there. */
  addressOf(sockaddr: Uint8Array): string | undefined {
    const row = this.#context.tables.peers.rowOf(sockaddr)
    return row < 0 ? undefined : this.#roster.at(row)?.endpoint?.address
  }

  /**
   * ICMP errors about datagrams say how many bytes pass at most, by address; 0 if they give no size. If several peers have
   * an address, the hint goes to all of them.
   */
  hint(least: ReadonlyMap<string, number>): void {
    this.#each(({ endpoint, pathMtu }) => {
      const mtuBytes = endpoint && least.get(endpoint.address)
      if (mtuBytes !== undefined) pathMtu?.hint(mtuBytes)
    })
  }

  /** Follows changes of the routes to all peers. One may have changed. */
  followUnderlays(): void {
    this.#each((peer) => peer.followUnderlay())
  }

  /** The data socket has another address. The peers are told, so that those that know them by keys follow. */
  rebound(): void {
    this.#each((peer) => peer.rebound())
  }

  /** Takes from the workers which addresses of this host the peers speak to. It may change at any time. */
  followLocals(): void {
    const { peers } = this.#context.tables
    const nowMs = this.#context.platform.clock.nowMs()
    this.#each((peer) => {
      if (peers.hasNews(peer.row) && this.#locals.allows(peer.row, nowMs))
        peer.spokenTo(peers.takeNews(peer.row))
    })
  }

  /** Searches all path MTUs again. Resolves when they are known, or after `withinMs`. */
  async refreshPaths(withinMs: number): Promise<void> {
    this.#each(({ pathMtu }) => pathMtu?.refresh())
    const { clock } = this.#context.platform
    const endMs = clock.nowMs() + withinMs
    const settled = () => this.#roster.all.every(({ pathMtu }) => pathMtu?.settled ?? true)
    while (!settled() && clock.nowMs() < endMs) await pause(clock, REFRESH_LOOK_MS)
  }

  /** Tells the workers which addresses the configuration gives to the peers, and whom strangers are taken for. */
  configure(): void {
    const { access, addresses, settings, tables } = this.#context
    const { all } = this.#roster
    tables.words.relayLimit = settings.introduce ? settings.relay_limit * BYTES_PER_MS : 0
    tables.words.acceptAny = settings.accept_any ? (all[0]?.row ?? -1) : -1
    const nowMs = this.#context.platform.clock.nowMs()
    this.#handovers.look(all, nowMs)
    addresses.configure(
      all.map((peer) => (peer.carries ? peer : { row: peer.row, settings: nowhere(peer) })),
      this.#handovers.heirs(all, nowMs),
    )
    access.configure(this.#settings.allow, all)
  }

  /** Introduced peers get their addresses when there is a session, and lose them when they are down. */
  followCarrying(): void {
    if (this.#handovers.look(this.#roster.all, this.#context.platform.clock.nowMs())) this.configure()
  }

  /** Must be called once a second. */
  tick(): void {
    this.#context.moves.settle()
    this.followLocals()
    this.#each((peer) => peer.tick())
  }

  /** Does the work for each peer. An error with one peer does not stop the others. */
  #each(work: (peer: Peer) => void): void {
    for (const peer of this.#roster.all) this.#context.faults.run('peer', () => work(peer), peer.name)
  }

  /**
   * Changes the peers to those in `settings`. Calls must not overlap. An unchanged peer notices nothing. A
   * changed peer keeps its row, and with it its keys, its traffic and its endpoint. A removed peer is gone at
   * once. An added peer may have to wait until a row is free.
   * @param placed the identities ({@link identityOf}) of peers that are where their settings say from now on, even if
   *   the settings said the same before
   * @param areChecked whether the caller knows that the keys are possible
   * @throws UserError for impossible keys (nothing has changed then), or when the tunnel stops meanwhile
   */
  async apply(
    settings: Settings,
    placed: ReadonlySet<string> = NOBODY,
    areChecked = false,
  ): Promise<PeerChanges> {
    const { faults, privateSide, peerRows } = this.#context
    peerRows.throwIfClosed()
    const before = new Map(this.#roster.all.map((peer) => [identityOf(peer.settings), peer]))
    const stays = (peer: PeerSettings) => isDeepStrictEqual(peer, before.get(identityOf(peer))?.settings)
    if (!areChecked)
      for (const peer of settings.peers)
        if (!stays(peer)) privateSide?.check(peer, privateSide.ownKey.identity)
    const changes = this.#changes(settings)
    const wanted = new Set(settings.peers.map(identityOf))
    for (const [identity, peer] of before) if (!wanted.has(identity)) this.#remove(peer)
    const kept = settings.peers.map((peer) => [peer, before.get(identityOf(peer))] as const)
    for (const [, peer] of kept) if (peer !== undefined) this.#roster.delete(peer.name)
    for (const [now, peer] of kept) {
      if (peer === undefined) continue
      const isPlaced = placed.has(identityOf(now))
      if (isPlaced || !stays(now)) faults.run('peer', () => peer.change(now, isPlaced), now.name)
      this.#roster.add(peer)
    }
    this.#settings = settings
    let waiting: readonly PeerSettings[] = kept.flatMap(([now, peer]) => (peer === undefined ? [now] : []))
    for (;;) {
      waiting = this.#addSome(waiting, (row, peer) =>
        faults.run('peer', () => this.#add(row, peer), peer.name),
      )
      this.configure()
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
    const before = this.#roster.all
    const names = [...wanted.keys()]
    return {
      added: names.filter((name) => this.#roster.get(name) === undefined),
      removed: before.map(({ name }) => name).filter((name) => !wanted.has(name)),
      changed: before
        .filter((peer) => wanted.has(peer.name) && !isDeepStrictEqual(wanted.get(peer.name), peer.settings))
        .map(({ name }) => name),
    }
  }

  #remove(peer: Peer): void {
    this.#roster.delete(peer.name)
    this.#context.faults.run('peer', () => peer.remove(), peer.name)
    this.#context.peerRows.retire(peer.row)
  }

  status(): PeerStatus[] {
    const { faults } = this.#context
    return this.#settings.peers.flatMap(({ name, invited }) =>
      invited === 'spent' ? [] : (faults.run('peer', () => this.#roster.get(name)?.status(), name) ?? []),
    )
  }

  close(): void {
    this.#each((peer) => peer.remove())
    for (const { name } of this.#roster.all) this.#roster.delete(name)
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
    let peer: Peer
    try {
      peer = new Peer(row, settings, this.#context)
    } catch (error) {
      this.#context.peerRows.retire(row)
      throw error
    }
    this.#locals.renew(row)
    this.#roster.add(peer)
    if (this.#started) peer.start()
  }
}
