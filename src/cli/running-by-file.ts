import { readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { listRunning, processOf } from '../command/client.js'

/** A tunnel that runs. */
export interface Running {
  readonly device: string
  readonly pid: number
}

/** The tunnel of this network namespace that was started with `--config` and this file; undefined if there is none. */
export async function runningByFile(file: string): Promise<Running | undefined> {
  return (await seen()).find(({ pid }) => isBy(pid, file))
}

/** Those that were started with a file of this name, without its folder and what follows the name's dot. */
export async function runningByName(name: string): Promise<Running[]> {
  return (await seen()).filter(({ pid }) => isCalled(pid, name))
}

/** All tunnels of this network namespace whose process is seen here. */
async function seen(): Promise<Running[]> {
  return (await listRunning()).flatMap((device) => {
    const pid = processOf(device)
    return pid === undefined ? [] : [{ device, pid }]
  })
}

/** Whether a process was started with this file. One of another user, or of another container, is not seen. */
export function isBy(pid: number, file: string): boolean {
  try {
    const given = fileOf(pid)
    if (given === undefined) return false
    return realpathSync(resolve(readlinkSync(`/proc/${pid}/cwd`), given)) === realpathSync(file)
  } catch {
    return false
  }
}

/** Whether a process was started with a file of this name, such as `office` for `/etc/udptun-fast/office.yaml`. */
export function isCalled(pid: number, name: string): boolean {
  try {
    const given = fileOf(pid)
    return given !== undefined && basename(given).replace(/\.[^.]*$/, '') === name
  } catch {
    return false
  }
}

/** The file of settings as the process was given it; undefined if it was given none. @throws if it cannot be seen */
const fileOf = (pid: number) => givenFile(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0'))

/** The file of settings that was given to `start`. Of two, the last one counts. */
function givenFile(words: readonly string[]): string | undefined {
  const at = words.findLastIndex((it) => it === '--config' || it.startsWith('--config='))
  if (at < 0) return undefined
  const given = words[at] === '--config' ? words[at + 1] : words[at].slice('--config='.length)
  return given === '' ? undefined : given
}
