import type { Logger } from 'pino'

/** Logs each sentence once. */
export class SaidOnce {
  readonly #log: Pick<Logger, 'warn' | 'info'>
  readonly #most: number
  readonly #said = new Set<string>()

  /** @param most so many sentences are logged at all, if others decide what is in them */
  constructor(log: Pick<Logger, 'warn' | 'info'>, most = Number.POSITIVE_INFINITY) {
    this.#log = log
    this.#most = most
  }

  say(sentence: string, level: 'warn' | 'info' = 'warn'): void {
    if (this.#said.has(sentence) || this.#said.size === this.#most) return
    this.#said.add(sentence)
    this.#log[level](sentence)
  }
}
