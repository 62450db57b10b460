/**
 * The other side of background.ts: this process was started in the background, and the program that has started it
 * waits until the device is there. They speak over Node.js's own channel between a process and its child.
 */

/** In the environment of a process that somebody waits for. */
export const AWAITED = 'UDPTUN_AWAITED'

/** What the waiting program is told, once. */
export type StarterNews = { readonly up: true } | { readonly error: string; readonly exitCode: number }

let isAwaited = process.env[AWAITED] !== undefined && process.connected === true
delete process.env[AWAITED]

/**
 * Tells it to the program that waits, and is rid of it then.
 * @returns false if nobody waits, and then nobody was told
 */
export async function tellStarter(news: StarterNews): Promise<boolean> {
  if (!isAwaited) return false
  isAwaited = false
  const isTold = await new Promise<boolean>((resolve) => {
    process.send?.(news, undefined, {}, (error) => resolve(error === null))
  })
  if (process.connected) process.disconnect()
  return isTold
}

/** Calls `then` if the program that waits ends before it was told anything: nobody wants the device any more. */
export function onStarterGone(then: () => void): void {
  if (!isAwaited) return
  process.once('disconnect', () => {
    if (isAwaited) then()
    isAwaited = false
  })
}
