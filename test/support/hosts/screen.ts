import { randomBytes } from 'node:crypto'
import type { Host } from '../../../src/lab/host.js'
import { run, until } from './lab.js'

/** A shell in a terminal of tmux, in a host; undefined: on this machine itself. */
export class Screen implements AsyncDisposable {
  readonly #host: Host | undefined
  readonly #socket = `udptun-${randomBytes(6).toString('hex')}`

  constructor(host?: Host) {
    this.#host = host
  }

  async open(columns: number, rows: number, environment: readonly string[] = []): Promise<void> {
    const size = ['-x', String(columns), '-y', String(rows)]
    const shell = ['env', 'PS1=$ ', ...environment, 'bash', '--norc', '--noprofile', '-i'].map(
      (it) => `'${it}'`,
    )
    await this.#tmux('-f', '/dev/null', 'new-session', '-d', ...size, shell.join(' '))
    await this.shows(/^\$ *$/m)
  }

  keys(...keys: readonly string[]): Promise<string> {
    return this.#tmux('send-keys', ...keys)
  }

  resize(columns: number, rows: number): Promise<string> {
    return this.#tmux('resize-window', '-x', String(columns), '-y', String(rows))
  }

  /** What is on the screen. @param escapes such as `-e`, which keeps the colours */
  text(...flags: readonly string[]): Promise<string> {
    return this.#tmux('capture-pane', '-p', ...flags)
  }

  /** What tmux knows of the terminal, such as `#{alternate_on}`. */
  async asks(format: string): Promise<string> {
    return (await this.#tmux('display-message', '-p', format)).trim()
  }

  async shows(pattern: RegExp): Promise<string> {
    let text = ''
    try {
      await until(`the screen shows ${pattern}`, async () => {
        text = await this.text()
        return pattern.test(text)
      })
    } catch (error) {
      throw new Error(`the screen does not show ${pattern}:\n${text}`, { cause: error })
    }
    return text
  }

  /** The shell's own line, with the terminal's modes, says how the program has left it. */
  async isRestored(): Promise<boolean> {
    const flags = await this.asks('#{alternate_on} #{cursor_flag}')
    return flags === '0 1'
  }

  async #tmux(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(this.#host, 'tmux', ['-L', this.#socket, ...args])
    if (code !== 0) throw new Error(`tmux ${args.join(' ')}: exit ${code}: ${stderr || stdout}`)
    return stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run(this.#host, 'tmux', ['-L', this.#socket, 'kill-server'])
  }
}
