import { formatEndpoint } from '../../config/addresses.js'
import type { PeerSettings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import type { DataSocket } from '../platform.js'
import { randomFraction } from '../random.js'
import type { PeerContext } from './context.js'
import { chooseEndpoint, type Discovery, discoveryOf } from './discovery.js'
import { isSameEndpoint } from './endpoint.js'
import { codeOf, explain, isUnanswered, refused, refuseLoop, UNANSWERED } from './not-found.js'
import type { Move, PeerEndpoint, Place } from './peer-endpoint.js'
import { familyOf } from './underlay.js'

/** How often a peer without an endpoint is looked for. Lookups of names that fail have longer pauses (lookups.ts). */
const RETRY_MS = 2_000

/** If a DNS lookup takes longer than this, we log that we are waiting. */
const DNS_PATIENCE_MS = 1_000

/** For this long, nobody is told that a peer wants to be where another one is. Often that one leaves, too. */
const TAKEN_PATIENCE_MS = 2_000

/** The peer that is looked for. */
export interface LocatedPeer {
  readonly name: string
  readonly row: number
  /** Its name or address, as the settings give it. */
  readonly host: string
  readonly settings: PeerSettings
  readonly place: PeerEndpoint
  /** Whether the endpoint is where the peer was heard from, not where its settings say. */
  readonly hasRoamed: boolean
  /** The settings or a lookup have given the peer's endpoint. */
  located(move: Move): void
  /** A lookup has given the endpoint that the peer had already. */
  confirmed(): void
}

/** Looks for one peer's endpoint where its settings say: at the start, and again when it may have changed. */
export class Locator {
  readonly #context: PeerContext
  readonly #peer: LocatedPeer
  /** Undefined if the settings give no endpoint. The peer then contacts us. */
  #discovery: Discovery | undefined
  /** The search that is running, and which discovery it asks. */
  #search: { readonly discovery: Discovery; readonly end: Promise<void> } | undefined
  /** When it was asked last. The clock begins with the program, so 0 would not be long ago. */
  #askedMs = Number.NEGATIVE_INFINITY
  /** All addresses that the last look-up has given. */
  addresses: readonly string[] = []
  /** Whether nothing comes from the present endpoint, so that another one must be tried. */
  #silent = false
  /** Whether what the settings give now was ever found. */
  #isKnown = false
  /** Whether the settings give another endpoint than the one that was found last. */
  #changed = false
  #closed = false
  /** Whether the line that the tunnel is up is in the log. It says where the peers are that were found before. */
  #started = false
  /** Since when the peer wants to be where another one is. */
  #waitsMs: number | undefined
  #trouble: string | undefined
  /** What was logged, or is to be logged at the start, since the peer was last found. */
  readonly #told = new Set<string>()

  constructor(context: PeerContext, peer: LocatedPeer) {
    this.#context = context
    this.#peer = peer
    this.#discovery = this.#discover()
  }

  /** Why the peer is not found, or not where it is to be; undefined if nothing is wrong. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Whether the settings give a name, which has to be looked up. */
  get hasName(): boolean {
    return this.#discovery?.refreshMs !== undefined
  }

  /** The tunnel is up, and the log says so. */
  start(): void {
    this.#started = true
    if (!this.#context.settings.wait) for (const text of this.#told) this.#log(text)
  }

  /** The settings give another endpoint than before. */
  changed(): void {
    this.#discovery?.close()
    this.#context.moves.forget(this.#peer.row)
    this.#settled()
    this.#discovery = this.#discover()
    this.#isKnown = false
    this.#changed = true
    this.again()
  }

  close(): void {
    this.#closed = true
    this.#discovery?.close()
    this.#context.moves.forget(this.#peer.row)
  }

  /**
   * Finds the peer's endpoint, and tries on while DNS does not answer.
   * @param signal aborts the wait; a lookup that is running cannot be aborted
   * @throws UserError if the peer cannot be found or reached; the signal's reason
   */
  async find(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    for (;;) {
      try {
        return await Promise.race([this.#look(), aborted])
      } catch (error) {
        signal.throwIfAborted()
        const reason = explain(this.#peer.host, error)
        if (!isUnanswered(error)) throw reason
        this.#trouble = reason.message
        this.#tell(reason.message)
      }
    }
  }

  /** Must be called once a second. Looks again if it is time, in the background. */
  tick(nowMs: number, silent: boolean): void {
    if (this.#discovery === undefined) return
    const { place } = this.#peer
    if (silent) this.#silent = true
    const waitedMs = nowMs - (this.#waitsMs ?? nowMs)
    if (waitedMs >= TAKEN_PATIENCE_MS && this.#trouble !== undefined) this.#tell(this.#trouble)
    const { refreshMs } = this.#discovery
    const agoMs = nowMs - this.#askedMs
    const due = refreshMs !== undefined && agoMs >= refreshMs
    const lost = place.endpoint === undefined && agoMs >= RETRY_MS
    if (due || silent || lost) this.again()
  }

  /** Looks again, in the background, unless that is being done. */
  again(): void {
    if (this.#discovery === undefined || this.#search?.discovery === this.#discovery) return
    const end = () => {
      this.#silent = false
    }
    this.#look()
      .catch((error) => this.notFound(error))
      .finally(end)
  }

  /** Logs that the peer was not found, and why, once for each reason. Takes an error of {@link find}. */
  notFound(error: unknown): void {
    const { host, name, place } = this.#peer
    const { endpoint } = place
    const reason = explain(host, error)
    if (!(reason instanceof UserError)) {
      this.#context.faults.take('locate', error, name)
      return
    }
    if (endpoint === undefined) {
      this.#trouble = reason.message
      const then = isUnanswered(error) ? '' : `; carrying on without ${name}, and trying again`
      this.#tell(`${reason.message}${then}`)
      return
    }
    // A name that cannot be looked up again for a while is no trouble while the peer is heard.
    if (!(error instanceof UserError) && !this.#silent && !this.#changed) return
    const state = this.#changed ? 'has another endpoint now' : 'is silent'
    const why =
      error instanceof UserError ? reason.message : `${host} ${state} and does not resolve (${codeOf(error)})`
    this.#trouble = why
    this.#tell(`${why}; keeping ${endpoint.address}`)
  }

  #discover(): Discovery | undefined {
    const { endpoint } = this.#peer.settings
    const { platform, lookups } = this.#context
    const random = () => randomFraction(platform)
    return endpoint && discoveryOf(endpoint, platform.socket.family, lookups, random)
  }

  /** Looks for the endpoint that the settings give now, unless that is being done. @throws why it is not found */
  #look(): Promise<void> {
    const discovery = this.#discovery
    const { hasRoamed } = this.#peer
    // One that has come by itself may have done so only because its name was not found. Once it is, that is compared.
    if (discovery === undefined || (hasRoamed && this.#isKnown && !this.#silent)) return Promise.resolve()
    if (this.#search?.discovery === discovery) return this.#search.end
    this.#askedMs = this.#context.platform.clock.nowMs()
    const end = this.#ask(discovery).finally(() => {
      if (this.#search?.discovery === discovery) this.#search = undefined
    })
    this.#search = { discovery, end }
    return end
  }

  async #ask(discovery: Discovery): Promise<void> {
    const { host, place } = this.#peer
    const { clock } = this.#context.platform
    // Otherwise nobody wants the answer any more.
    const isNow = () => !this.#closed && discovery === this.#discovery
    const warn = () => {
      if (this.#trouble === undefined) this.#tell(explain(host, { code: UNANSWERED }).message)
    }
    const impatience = place.endpoint === undefined ? clock.after(DNS_PATIENCE_MS, warn) : undefined
    try {
      const candidates = await discovery.locate()
      if (isNow()) this.#take(candidates)
    } catch (error) {
      if (isNow()) throw error
    } finally {
      impatience?.cancel()
    }
  }

  /** @throws UserError if the peer cannot be where it is found */
  #take(found: readonly Endpoint[]): void {
    this.#isKnown = true
    this.addresses = found.map(({ address }) => address)
    const candidates = reachable(found, this.#context.platform.socket)
    const { moves } = this.#context
    const { hasRoamed, place, row } = this.#peer
    // It has come by itself meanwhile.
    if (hasRoamed && !this.#silent) {
      if (candidates.some((it) => place.endpoint !== undefined && isSameEndpoint(it, place.endpoint)))
        this.#peer.confirmed()
      this.#settled()
      return
    }
    const next = chooseEndpoint(candidates, place.endpoint, this.#silent)
    if (place.endpoint === undefined || !isSameEndpoint(next, place.endpoint)) this.#moveTo(next)
    else {
      moves.forget(row)
      this.#settled()
    }
  }

  /** The peer is where it is to be. */
  #settled(): void {
    this.#changed = false
    this.#waitsMs = undefined
    this.#trouble = undefined
    this.#told.clear()
  }

  /** @throws UserError if no peer can be at this endpoint, or if we cannot send to it */
  #moveTo(endpoint: Endpoint): void {
    const { settings, privateSide, device, moves, platform } = this.#context
    const { host, place, row } = this.#peer
    refuseLoop(settings, host, endpoint)
    const found = place.look(endpoint)
    if (typeof found === 'string') throw refused(host, endpoint, found, device.name)
    // In a private tunnel the keys tell the peers apart. In a plain tunnel only the endpoint does.
    if (privateSide !== undefined) {
      this.#arrive(found)
      return
    }
    const mover = { row, look: () => place.tryLook(endpoint), arrive: (it: Place) => this.#arrive(it) }
    const wish = moves.wish(mover, found.sockaddr)
    if (wish === 'done') return
    const other = moves.peerAt(found.sockaddr)
    const taken = new UserError(
      `${host} is at ${formatEndpoint(endpoint)}, but the peer ${other?.name} is there already; give each an endpoint of its own`,
    )
    if (wish === 'new') other?.locate()
    if (place.endpoint === undefined) throw taken
    this.#trouble = taken.message
    this.#waitsMs ??= platform.clock.nowMs()
  }

  #arrive(found: Place): void {
    const { faults, log } = this.#context
    const { host, name, place } = this.#peer
    const before = place.endpoint
    const move = place.moveTo(found)
    this.#settled()
    faults.run('locate', () => this.#peer.located(move), name)
    if (!this.#started) return
    const text = formatEndpoint(found.endpoint)
    log.info(
      { peer: name, remote: text },
      before === undefined ? `${host} is at ${text}` : `${host} has moved to ${text}`,
    )
  }

  /** Logs once. If the start does not wait for names, the line that the tunnel is up comes first. */
  #tell(text: string): void {
    if (this.#told.has(text)) return
    this.#told.add(text)
    if (this.#started || this.#context.settings.wait) this.#log(text)
  }

  #log(text: string): void {
    const { host, name } = this.#peer
    this.#context.log.warn({ peer: name, host }, text)
  }
}

/** The endpoints that a socket can send to, or all if it can send to none: it may be bound to an address of one family. */
function reachable(all: readonly Endpoint[], { isBound, local }: DataSocket): readonly Endpoint[] {
  if (!isBound || local.address === '::') return all
  const some = all.filter(({ address }) => familyOf(address) === familyOf(local.address))
  return some.length === 0 ? all : some
}
