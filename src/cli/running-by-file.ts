import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { askStatus, listRunning } from '../command/client.js'

/** A tunnel that runs. */
export interface Running {
  readonly device: string
  readonly pid: number
}

/** The tunnel of this network namespace that was started with `--config` and this file; undefined if there is none. */
export async function runningByFile(file: string): Promise<Running | undefined> {
  for (const device of await listRunning()) {
    const pid = await pidOf(device)
    if (pid !== undefined && isBy(pid, file)) return { device, pid }
  }
  return undefined
}

/** Undefined if it has ended meanwhile, or does not answer. */
async function pidOf(device: string): Promise<number | undefined> {
  try {
    return (await askStatus(device)).pid
  } catch {
    return undefined
  }
}

/** Whether a process was started with this file. One of another user, or of another container, is not seen. */
export function isBy(pid: number, file: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    const given = givenFile(words)
    if (given === undefined) return false
    return realpathSync(resolve(readlinkSync(`/proc/${pid}/cwd`), given)) === realpathSync(file)
  } catch {
    return false
  }
}

/** The file of settings that was given to `start`. Of two, the last one counts. */
function givenFile(words: readonly string[]): string | undefined {
  const at = words.findLastIndex((it) => it === '--config' || it.startsWith('--config='))
  if (at < 0) return undefined
  return words[at] === '--config' ? words[at + 1] : words[at].slice('--config='.length)
}
