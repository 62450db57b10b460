import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Host } from '../../src/lab/host.js'
import { filledIn, parsePage, type Step } from '../support/docs/page.js'
import { matches, plainText } from '../support/docs/printed.js'
import { ok, run } from '../support/hosts/lab.js'

/** Does what a page of docs/ says, in hosts that share this guest's files. */
export class PageReader {
  readonly #hosts: Readonly<Record<string, Host>>
  readonly #values = new Map<string, string>()
  readonly #steps: Step[]

  constructor(name: string, hosts: Readonly<Record<string, Host>>) {
    this.#hosts = hosts
    this.#steps = [...parsePage(readFileSync(`docs/${name}.md`, 'utf8')).steps]
  }

  /** Takes the steps up to the first after which `isLast` is true, or all that are left. */
  async read(isLast: (step: Step) => boolean = () => false): Promise<void> {
    for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {
      await this.#take(step)
      if (isLast(step)) return
    }
  }

  async #take(step: Step): Promise<void> {
    const host = this.#hosts[step.host]
    const fill = (text: string) => filledIn(text, this.#values)
    if (step.kind === 'file') {
      writeFileSync(step.path, fill(step.text), { mode: Number.parseInt(step.mode, 8) })
    } else if (step.kind === 'run') {
      const printed = await ok(host, 'bash', '-euc', fill(step.script))
      if (step.prints !== undefined) this.#values.set(step.prints, printed.trim())
    } else {
      const { code, stdout } = await run(host, 'bash', ['-c', fill(step.command)])
      assert.equal(code, step.exit, step.command)
      assert.ok(matches(step.printed, plainText(stdout)), `${step.command} prints ${stdout}`)
    }
  }
}
