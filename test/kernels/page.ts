import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '../../src/lab/host.js'
import { filledIn, parsePage, type Step } from '../support/docs/page.js'
import { matches, plainText } from '../support/docs/printed.js'
import { ok, run } from '../support/hosts/lab.js'

/** A host of a page, and what to put before a command so that it has the host's own files; nothing if they are shared. */
export interface PageHost {
  readonly host: Host
  readonly prefix?: readonly string[]
}

/** Whether a step removes what those before have made: in these pages, the last ones remove a file first. */
export const isUndo = (step: Step): boolean =>
  step.kind === 'run' && /^(rm|ip xfrm policy flush)\b/.test(step.script)

/** A page's part from a heading of the second level to the next one. */
function partOf(page: string, heading: string): string {
  const part = page.split(/^(?=## )/m).find((it) => it.startsWith(`## ${heading}\n`))
  if (part === undefined) throw new Error(`there is no part "${heading}"`)
  return part
}

/** Does what a part of a page of docs/ says. */
export class PageReader {
  readonly #hosts: Readonly<Record<string, PageHost>>
  readonly #values = new Map<string, string>()
  readonly #steps: Step[]

  constructor(name: string, heading: string, hosts: Readonly<Record<string, PageHost>>) {
    this.#hosts = hosts
    this.#steps = [...parsePage(partOf(readFileSync(`docs/${name}.md`, 'utf8'), heading)).steps]
  }

  /** Takes all that comes before the first step that `isNext` is true for, or all that are left. */
  async read(isNext: (step: Step) => boolean = () => false): Promise<void> {
    const next = this.#steps.findIndex(isNext)
    for (const step of this.#steps.splice(0, next < 0 ? this.#steps.length : next)) await this.#take(step)
  }

  async #take(step: Step): Promise<void> {
    const { host, prefix = [] } = this.#hosts[step.host]
    const fill = (text: string) => filledIn(text, this.#values)
    const inHost = (...command: string[]) => ['env', ...prefix, ...command] as const
    if (step.kind === 'file') {
      const draft = join(tmpdir(), 'page-file')
      writeFileSync(draft, fill(step.text))
      const [env, ...install] = inHost('install', '-m', step.mode, draft, step.path)
      await ok(host, env, ...install)
    } else if (step.kind === 'run') {
      const [env, ...bash] = inHost('bash', '-euc', fill(step.script))
      const printed = await ok(host, env, ...bash)
      if (step.prints !== undefined) this.#values.set(step.prints, printed.trim())
    } else {
      const [env, ...bash] = inHost('bash', '-c', step.command)
      const { code, stdout, stderr } = await run(host, env, bash)
      assert.equal(code, step.exit, `${step.command}: ${stdout}${stderr}`)
      assert.ok(matches(step.printed, plainText(stdout)), `${step.command} prints ${stdout}`)
    }
  }
}
