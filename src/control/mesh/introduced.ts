import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { PeerSettings, Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import type { AllTold } from '../discovery/told.js'
import type { Faults } from '../faults.js'
import type { Peer } from '../peer/peer.js'
import type { PeerChanges } from '../peer/peers.js'
import type { Roster } from '../peer/roster.js'
import type { SaidOnce } from '../said-once.js'
import type { Tables } from '../tables.js'
import type { Trust } from './trust.js'

/** The least time between two looks at whom to believe. With hundreds of members, one takes 20 ms. */
const FOLLOW_MS = 250

export interface IntroducedContext {
  readonly tables: Pick<Tables, 'counters'>
  readonly roster: Roster<Peer>
  readonly log: Logger
  readonly faults: Faults
  /** What a person wants now, and whom this host has invited: without those whom others introduce. */
  readonly known: () => Settings
  /** Changes the peers to those that are {@link Introduced.beside} the settings. */
  readonly follow: () => Promise<PeerChanges>
  /** The peers have changed. */
  readonly onPeers: () => void
  readonly trust: Trust
  readonly once: SaidOnce
}

/** Makes peers of those whom others introduce and who are believed. */
export class Introduced {
  readonly #context: IntroducedContext
  /** The public keys, in base64, of the members that are told otherwise since the last look. */
  readonly #changed = new Set<string>()
  #following = false
  #nextFollowMs = Number.NEGATIVE_INFINITY

  constructor(context: IntroducedContext) {
    this.#context = context
  }

  /** The member with this public key, in base64, is told otherwise now, or must be judged anew. */
  changed(key: string): void {
    this.#changed.add(key)
    this.#context.trust.changed(key)
  }

  /** The peers beside those of `settings`. They become peers now. */
  beside(settings: Settings, told: AllTold): readonly PeerSettings[] {
    const { trust } = this.#context
    const belief = trust.believe(told, settings)
    trust.keep(belief)
    return belief.members
  }

  /** Must be called often. */
  look(told: AllTold, nowMs: number): void {
    const isDue = nowMs >= this.#nextFollowMs && !this.#following
    if (!isDue || (this.#changed.size === 0 && !this.#context.trust.isStale)) return
    this.#nextFollowMs = nowMs + FOLLOW_MS
    this.#follow(told)
  }

  #follow(told: AllTold): void {
    const { faults, follow, log, once, onPeers, known, roster, tables, trust } = this.#context
    const changed = new Set(this.#changed)
    this.#changed.clear()
    const { members, refusals } = trust.believe(told, known())
    for (const { by, key, why, isLoud } of refusals) {
      if (changed.has(key)) tables.counters.own.count('dropIntroductionRefused')
      once.say(why, isLoud ? 'warn' : 'info', by)
    }
    const before = roster.all.flatMap(({ settings }) =>
      settings.introduced_by === undefined ? [] : [settings],
    )
    if (isDeepStrictEqual(before, members)) return
    this.#following = true
    follow()
      .then(({ added, removed, changed }) => {
        const text = Object.entries({ added, removed, changed })
          .filter(([, names]) => names.length > 0)
          .map(([what, names]) => `${names.length} ${what}`)
        if (text.length > 0)
          log.info({ added, removed, changed }, `members were introduced: ${text.join(', ')}`)
        onPeers()
      })
      .catch((error) => {
        // The tunnel stops.
        if (!(error instanceof UserError)) faults.take('introductions', error)
      })
      .finally(() => {
        this.#following = false
      })
  }
}
