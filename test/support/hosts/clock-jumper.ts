/**
 * Loaded before the program (`node --import`): its clock of keys, in all its threads, jumps forward by as many
 * milliseconds as the parent says in a message, as it does for one that was suspended; and main's timers of keys
 * stand still from then on, as if they had not run yet.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { BootClock } from '../../../src/linux/clock.js'
import { Handshakes } from '../../../src/noise/handshakes.js'

const KEY = 'udptun-test-jump'
if (isMainThread) setEnvironmentData(KEY, new SharedArrayBuffer(8))
const jumpMs = new Float64Array(getEnvironmentData(KEY) as SharedArrayBuffer)

const { look } = BootClock.prototype
BootClock.prototype.look = function (this: BootClock) {
  look.call(this)
  this.ms[0] += jumpMs[0]
}

if (isMainThread) {
  process.on('message', (ms: number) => {
    Handshakes.prototype.tick = () => {}
    jumpMs[0] = ms
  })
  process.channel?.unref()
}
