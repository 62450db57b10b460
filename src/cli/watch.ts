import { setTimeout as sleep } from 'node:timers/promises'
import { endIfOutputFails } from './output.js'

const WATCH_MS = 1_000

export interface WatchFlags {
  readonly json?: boolean
  readonly watch?: boolean
}

/**
 * Shows the answer of `ask`, once or every second: as JSON in a pipe, as text for a person on a terminal.
 * @param render the answer as text for a person; while watching it also gets the answer before
 * @param toJson the part of the answer that is printed as JSON
 */
export async function show<T>(
  flags: WatchFlags,
  ask: () => Promise<T>,
  render: (answer: T, before?: T) => string,
  toJson: (answer: T) => unknown = (answer) => answer,
): Promise<void> {
  const json = flags.json === true || !process.stdout.isTTY
  endIfOutputFails()
  if (flags.watch !== true) {
    const answer = await ask()
    process.stdout.write(json ? `${JSON.stringify(toJson(answer), null, 2)}\n` : `${render(answer)}\n`)
    return
  }
  // A serial console reports a size of zero. On zero rows nothing would be shown.
  if (process.stdout.rows === 0) Object.assign(process.stdout, { rows: 24, columns: 80 })
  // It takes 30 ms to load, and most commands show their answer once.
  const screen = (await import('log-update')).createLogUpdate(process.stdout)
  for (let before: T | undefined; ; ) {
    const answer = await ask()
    if (json) process.stdout.write(`${JSON.stringify(toJson(answer))}\n`)
    else screen(render(answer, before))
    before = answer
    await sleep(WATCH_MS)
  }
}
