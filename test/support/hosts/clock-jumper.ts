/**
 * Loaded before the program (`node --import`). On a message from the parent, the program's clock for keys jumps
 * forward in all its threads, by the number of milliseconds in the message. A suspend has the same effect. From
 * then on main's timers for keys do not run, as if their turn had not come yet. The parent is told when it is done.
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
    process.send?.('done')
  })
  process.channel?.unref()
}
