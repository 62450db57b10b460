import { createLogUpdate } from 'log-update'
import { stderrColors } from '../../src/cli/colors.js'
import { duration } from '../../src/cli/table.js'
import type { Load } from './loads/load.js'
import { remainingSeconds, type Step } from './plan.js'
import type { Failure } from './results.js'
import type { Observer } from './run.js'

const BAR_CELLS = 30

/** Shows the progress of a run on standard error: a bar on a terminal, otherwise a line for every step. */
export class Progress implements Observer {
  readonly #steps: readonly Step[]
  readonly #begun = performance.now()
  readonly #terminal = process.stderr.isTTY === true
  readonly #update = createLogUpdate(process.stderr)
  readonly #ticker: NodeJS.Timeout | undefined
  #done = 0
  /** When the current step began, in seconds since the start of the run. */
  #stepBegun = 0
  #doing = ''

  constructor(steps: readonly Step[]) {
    this.#steps = steps
    if (this.#terminal) this.#ticker = setInterval(() => this.#draw(), 250)
  }

  step(_step: Step, index: number): void {
    this.#done = index
    this.#stepBegun = this.#elapsed()
    this.#doing = ''
    if (this.#terminal) this.#draw()
    else process.stderr.write(`${this.#line()} (about ${this.#left()} left)\n`)
  }

  load(load: Load): void {
    this.#doing = load.title
    if (this.#terminal) this.#draw()
  }

  failure({ peer, underlay, load, round, message }: Failure): void {
    if (this.#terminal) this.#update.clear()
    const what = `${peer}, ${load ?? 'start'} (${underlay}, round ${round})`
    process.stderr.write(`${stderrColors.yellow('failed:')} ${what}: ${message}\n`)
  }

  end(): void {
    clearInterval(this.#ticker)
    if (!this.#terminal) return
    this.#update.clear()
    this.#update.done()
  }

  [Symbol.dispose](): void {
    this.end()
  }

  #elapsed(): number {
    return (performance.now() - this.#begun) / 1000
  }

  #left(): string {
    const fromStep = remainingSeconds(this.#steps, this.#done, this.#stepBegun)
    return duration(Math.max(0, fromStep - (this.#elapsed() - this.#stepBegun)))
  }

  #line(): string {
    const { round, underlay, peer } = this.#steps[this.#done]
    return `round ${round} of ${this.#steps.at(-1)?.round}: ${underlay.title}: ${peer.title}`
  }

  #draw(): void {
    const share = this.#done / this.#steps.length
    const filled = Math.round(share * BAR_CELLS)
    const bar = stderrColors.cyan('█'.repeat(filled)) + stderrColors.dim('░'.repeat(BAR_CELLS - filled))
    const percent = Math.round(share * 100)
    this.#update(
      `${bar} ${percent}%, about ${this.#left()} left\n${this.#line()}${stderrColors.dim(`  ${this.#doing}`)}`,
    )
  }
}
