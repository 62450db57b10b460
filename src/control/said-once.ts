import type { Logger } from 'pino'

/** Logs each sentence once. */
export class SaidOnce {
  readonly #log: Pick<Logger, 'warn' | 'info'>
  readonly #most: number
  readonly #said = new Set<string>()
  /** How many sentences were logged, by who has told what is in them. */
  readonly #counts = new Map<string, number>()

  /** @param most so many sentences of each teller are logged at all, if others decide what is in them */
  constructor(log: Pick<Logger, 'warn' | 'info'>, most = Number.POSITIVE_INFINITY) {
    this.#log = log
    this.#most = most
  }

  /** @param by who has told what is in the sentence */
  say(sentence: string, level: 'warn' | 'info' = 'warn', by = ''): void {
    const count = this.#counts.get(by) ?? 0
    if (this.#said.has(sentence) || count === this.#most) return
    this.#counts.set(by, count + 1)
    this.#said.add(sentence)
    this.#log[level](sentence)
  }
}
