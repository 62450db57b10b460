/**
 * Starts tunnels in this process that cannot start, and reports what each leaves behind. The argument is a list
 * of settings in JSON. The output has a {@link FailedStart} for each.
 */
import { lookup } from 'node:dns/promises'
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog } from '../../../src/cli/log.js'
import { loadSettings } from '../../../src/config/load.js'
import { startTunnel } from '../../../src/control/assembly.js'
import { Faults } from '../../../src/control/faults.js'

export interface FailedStart {
  readonly message: string
  /** Open files and threads that did not exist before. */
  readonly files: readonly string[]
  readonly threads: number
}

/** libc's threads that look names up end after a second without work. */
const IDLE_MS = 1_200

const threads = () => readdirSync('/proc/self/task').length

function files(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`]
    } catch {
      return []
    }
  })
}

async function fail(given: Record<string, unknown>): Promise<string> {
  const settings = loadSettings({ ...given, log_level: 'silent' })
  try {
    const log = await createLog(settings)
    const { signal } = new AbortController()
    await startTunnel({ settings, log, faults: new Faults(log), signal })
  } catch (error) {
    return (error as Error).message
  }
  return 'it has started'
}

const starts: Record<string, unknown>[] = JSON.parse(process.argv[2])
// What is loaded and opened only once is not a leak.
await fail(starts[starts.length - 1])
// With musl, Node.js looks names up in threads of its own, which stay.
await lookup('localhost')
const failed: FailedStart[] = []
for (const start of starts) {
  const before = { files: new Set(files()), threads: threads() }
  const message = await fail(start)
  if (start.wait === true) await sleep(IDLE_MS)
  failed.push({
    message,
    files: files().filter((file) => !before.files.has(file)),
    threads: threads() - before.threads,
  })
}
process.stdout.write(JSON.stringify(failed))
