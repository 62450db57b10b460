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
  // It takes 30 ms to load, and most commands show their answer once.
  const screen = json ? undefined : (await import('./live-text.js')).liveText()
  for (let before: T | undefined; ; ) {
    const answer = await ask()
    if (screen === undefined) process.stdout.write(`${JSON.stringify(toJson(answer))}\n`)
    else screen.drawBeginning(render(answer, before))
    before = answer
    await sleep(WATCH_MS)
  }
}
