import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { socketName } from '../../src/command/path.js'

export const FAKE_DEVICE = 'fake0'

/** Answers as a tunnel on {@link FAKE_DEVICE} does, for a program with {@link FakeTunnel.variable} in its environment. */
export class FakeTunnel implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'udptun-fake-'))
  readonly #server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (line) => {
      const { command } = JSON.parse(String(line))
      socket.end(`${JSON.stringify({ result: this.#answers[command] })}\n`)
    })
  })
  readonly #answers: Readonly<Record<string, unknown>>

  /** @param answers by the command that is asked, such as `status` */
  constructor(answers: Readonly<Record<string, unknown>>) {
    this.#answers = answers
    const sockets = join(this.#folder, 'udptun-fast')
    mkdirSync(sockets)
    this.#server.listen(join(sockets, socketName({ name: FAKE_DEVICE, index: 999_999 })))
  }

  get variable(): string {
    return `XDG_RUNTIME_DIR=${this.#folder}`
  }

  [Symbol.dispose](): void {
    this.#server.close()
    rmSync(this.#folder, { recursive: true })
  }
}
