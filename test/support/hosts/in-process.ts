/**
 * A tunnel within this process, so that the event loop of its main thread can be measured. The arguments are
 * those of the program: `start <local-ip>… <remote>`. Each message from the parent ends a measurement and
 * starts the next. The answer is the result.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createLog } from '../../../src/cli/log.js'
import { loadSettings } from '../../../src/config/load.js'
import { startTunnel } from '../../../src/control/assembly.js'
import { Faults } from '../../../src/control/faults.js'

/** How late the event loop ran a timer that was due every millisecond. */
export interface LoopDelay {
  readonly samples: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const addresses = process.argv.slice(3)
const settings = loadSettings({ local: addresses.slice(0, -1), remote: addresses.at(-1) })
const log = await createLog(settings)
const { signal } = new AbortController()
const tunnel = await startTunnel({ settings, log, faults: new Faults(log), signal })

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
process.on('message', () => {
  const measured: LoopDelay = {
    samples: delay.count,
    p50Ms: delay.percentile(50) / 1e6,
    p99Ms: delay.percentile(99) / 1e6,
    maxMs: delay.max / 1e6,
  }
  delay.reset()
  process.send?.(measured)
})
process.once('SIGTERM', async () => {
  await tunnel.stop()
  process.exit(0)
})
