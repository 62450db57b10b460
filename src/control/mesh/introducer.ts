import type { Introduction, Position, ToldMember } from '../../wire/introduction.js'
import { Ledger } from './ledger.js'

/** So many changes go in one burst to one member. It acknowledges them before it gets the next ones. */
const WINDOW = 32

/** After this long without an acknowledgement the changes are sent again, so often at the most until the member asks. */
const REPEAT_MS = 250
const REPEATS = 12

/** Who has not asked for so long is told nothing by itself. */
const LISTENS_MS = 90_000

interface Listener {
  position: Position
  askedMs: number
  /** When it is told again; undefined if it has all. */
  dueMs: number | undefined
  repeats: number
}

export interface IntroducerOptions {
  readonly newEpoch: () => number
  readonly send: (row: number, introduction: Introduction) => void
}

/** Tells members of each other: who asks, and who has asked lately when something changes. */
export class Introducer {
  readonly #options: IntroducerOptions
  readonly #ledger: Ledger
  /** By the row of the peer. */
  readonly #listeners = new Map<number, Listener>()

  constructor(options: IntroducerOptions) {
    this.#options = options
    this.#ledger = new Ledger(options.newEpoch)
  }

  /** A member asks for what came after `position`, and has all before that. */
  asked(row: number, position: Position, nowMs: number): void {
    this.#listeners.set(row, { position, askedMs: nowMs, dueMs: undefined, repeats: 0 })
    this.#tell(row, nowMs)
  }

  /** These are the members now. Must be called often: repeats what was not acknowledged, too. */
  look(members: readonly ToldMember[], isPeer: (row: number) => boolean, nowMs: number): void {
    const { epoch, revision } = this.#ledger.position
    this.#ledger.set(members, nowMs)
    const now = this.#ledger.position
    const isNew = now.epoch !== epoch || now.revision !== revision
    for (const [row, listener] of this.#listeners) {
      const isGone = !isPeer(row) || nowMs - listener.askedMs > LISTENS_MS
      if (isGone) this.#listeners.delete(row)
      else if (isNew) {
        listener.repeats = 0
        this.#tell(row, nowMs)
      } else if (listener.dueMs !== undefined && nowMs >= listener.dueMs) this.#tell(row, nowMs)
    }
  }

  #tell(row: number, nowMs: number): void {
    const listener = this.#listeners.get(row)
    if (listener === undefined) return
    const changes = this.#ledger.after(listener.position, WINDOW)
    const isDone = changes[0].kind === 'nothing' || listener.repeats === REPEATS
    listener.dueMs = isDone ? undefined : nowMs + REPEAT_MS
    listener.repeats++
    for (const change of changes) this.#options.send(row, change)
  }
}
