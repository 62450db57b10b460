import type { Endpoint } from '../../linux/sockaddr.js'
import type { Clock, Timer } from '../clock.js'
import type { Resolver } from '../platform.js'
import { locateService } from './service.js'

/**
 * How many names are looked up at once: as many as libc has threads for it (glibc, resolv/gai_misc.c). None of them
 * can be taken from a name that has no answer.
 */
export const MAX_LOOKUPS = 20

/** How many of them may be names that were not found last time. If the resolver does only two at once, it is one. */
export const MAX_FAILED_LOOKUPS = 2

/** The pause after the first failed look-up of a name. It doubles up to the second value. */
export const FIRST_PAUSE_MS = 2_000
export const LAST_PAUSE_MS = 8_000

/** A name that is looked up from time to time. */
export interface NameLookup<T> {
  /**
   * Looks the name up, as soon as it is its turn. Calls must not overlap.
   * @returns all that is found, at least one
   * @throws the resolver's error, with its `code`; or, after {@link close}, an error without one
   */
  find(): Promise<readonly T[]>
  /** The name is of no interest any more. */
  close(): void
}

interface Name {
  /** Failures since it was last found. */
  failures: number
  /** Whether it has ever been found. */
  known: boolean
  /** It is not looked up before. */
  notBeforeMs: number
  /** Who waits for its turn. */
  waiting:
    | {
        /** @returns what gives the answer to who waits */
        readonly ask: () => Promise<() => void>
        readonly reject: (error: Error) => void
      }
    | undefined
}

/**
 * Decides which name is looked up when. A name server that does not answer keeps a look-up busy for ten seconds or
 * more. So names that were not found last time have only a few places, and pauses between their look-ups. The others
 * never wait for them.
 */
export class Lookups {
  readonly #clock: Clock
  readonly #resolver: Resolver
  readonly #most: number
  readonly #mostFailed: number
  /** In the order in which they asked. */
  readonly #waiting = new Set<Name>()
  #running = 0
  #runningFailed = 0
  #pause: Timer | undefined

  constructor(clock: Clock, resolver: Resolver) {
    this.#clock = clock
    this.#resolver = resolver
    this.#most = Math.min(MAX_LOOKUPS, resolver.atOnce ?? MAX_LOOKUPS)
    this.#mostFailed = Math.min(MAX_FAILED_LOOKUPS, this.#most - 1)
  }

  /** The addresses of a host. @param ipv4Only whether IPv6 addresses are of no use */
  open(host: string, ipv4Only: boolean): NameLookup<string> {
    return this.#open(host, () => this.#resolver.lookup(host, ipv4Only))
  }

  /** Where a service is, as {@link locateService} says. */
  openService(name: string, ipv4Only: boolean, random: () => number): NameLookup<Endpoint> {
    return this.#open(name, () => locateService(name, ipv4Only, this.#resolver, random))
  }

  #open<T>(host: string, ask: () => Promise<readonly T[]>): NameLookup<T> {
    const name: Name = { failures: 0, known: false, notBeforeMs: 0, waiting: undefined }
    const over = () => new Error(`${host} is not looked up any more`)
    let closed = false
    return {
      find: () =>
        new Promise((resolve, reject) => {
          if (closed) return reject(over())
          const answer = async () => {
            const found = await ask()
            return () => resolve(found)
          }
          name.waiting = { ask: answer, reject }
          this.#waiting.add(name)
          this.#begin()
        }),
      close: () => {
        closed = true
        if (!this.#waiting.delete(name)) return
        name.waiting?.reject(over())
        this.#begin()
      },
    }
  }

  /** Begins as many look-ups as there are places for. */
  #begin(): void {
    // One moment for all that follows. Otherwise a pause could end unseen between two looks at the clock.
    const nowMs = this.#clock.nowMs()
    for (;;) {
      const name = this.#next(nowMs)
      if (name === undefined) break
      this.#waiting.delete(name)
      void this.#look(name)
    }
    this.#pause?.cancel()
    this.#pause = undefined
    const pausing = [...this.#waiting].filter(({ notBeforeMs }) => notBeforeMs > nowMs)
    if (pausing.length === 0) return
    const endMs = Math.min(...pausing.map(({ notBeforeMs }) => notBeforeMs))
    this.#pause = this.#clock.after(endMs - nowMs, () => this.#begin())
  }

  /** The next name to look up: first those that were found last time, last those that were not. */
  #next(nowMs: number): Name | undefined {
    if (this.#running === this.#most) return undefined
    const all = [...this.#waiting]
    const sound = all.filter(({ failures }) => failures === 0)
    const first = sound.find(({ known }) => known) ?? sound[0]
    if (first !== undefined || this.#runningFailed === this.#mostFailed) return first
    return all.find(({ notBeforeMs }) => notBeforeMs <= nowMs)
  }

  async #look(name: Name): Promise<void> {
    const { waiting } = name
    const failed = name.failures > 0
    this.#running++
    if (failed) this.#runningFailed++
    try {
      const give = await waiting?.ask()
      name.failures = 0
      name.known = true
      give?.()
    } catch (error) {
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** name.failures, LAST_PAUSE_MS)
      name.failures++
      name.notBeforeMs = this.#clock.nowMs() + pauseMs
      waiting?.reject(error as Error)
    } finally {
      this.#running--
      if (failed) this.#runningFailed--
      this.#begin()
    }
  }
}
