/**
 * The other side of background.ts: this process was started in the background, and the program that has started it
 * waits until the device is there. They speak over Node.js's own channel between a process and its child.
 */

import { withoutKeyRuns } from '../key-text.js'

/** In the environment of a process that somebody waits for. */
export const AWAITED = 'UDPTUN_AWAITED'

/** In the environment of such a process: the directory that whoever has started it is in. */
export const CALLER_DIRECTORY = 'UDPTUN_CALLER_DIRECTORY'

/** What the waiting program is told, once. */
export type StarterNews = { readonly up: true } | { readonly error: string; readonly exitCode: number }

/** A line for its user, before that. */
export interface StarterLine {
  readonly said: string
}

/** Whether this program itself has put this process into the background. */
export const isInBackground = process.env[AWAITED] !== undefined

let isAwaited = isInBackground
delete process.env[AWAITED]

const givenDirectory = process.env[CALLER_DIRECTORY]
delete process.env[CALLER_DIRECTORY]

/** Where whoever has started the program is. */
export function callerDirectory(): string {
  return givenDirectory ?? process.cwd()
}

/** The program that waited may have ended before anything of this one runs, and may end before this is asked for. */
const starterGone = new Promise<void>((resolve) => {
  if (!isAwaited) return
  if (process.connected === true) process.once('disconnect', resolve)
  else resolve()
})

/**
 * Tells it to the program that waits, and is rid of it then.
 * @returns false if nobody waits, and then nobody was told
 */
export async function tellStarter(news: StarterNews): Promise<boolean> {
  if (!isAwaited) return false
  isAwaited = false
  const isTold = await new Promise<boolean>((resolve) => {
    process.send?.(news, undefined, {}, (error) => resolve(error === null))
    if (process.connected !== true) resolve(false)
  })
  if (process.connected) process.disconnect()
  return isTold
}

/** The program that waits shows the line to its user; nothing happens if none waits. */
export function sayToStarter(line: string): void {
  if (!isAwaited || process.connected !== true) return
  const said: StarterLine = { said: withoutKeyRuns(line) }
  process.send?.(said, undefined, {}, () => {})
}

/** Calls `then` if the program that waits ends before it was told anything: nobody wants the device any more. */
export async function onStarterGone(then: () => void): Promise<void> {
  await starterGone
  if (isAwaited) then()
  isAwaited = false
}
