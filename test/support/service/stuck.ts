/**
 * Loaded before the program (`node --import`), in all its threads. A thread stands still for ever when the file that
 * STUCK names has its name in it (`main`, `tap` or `udp`) and systemd's name of this run. The program is the real one;
 * nothing in it knows of this.
 */
import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { UdpSource } from '../../../src/worker/inbound/udp-source.js'
import { TapSource } from '../../../src/worker/outbound/tap-source.js'
import type { Source } from '../../../src/worker/port.js'

const LOOK_MS = 100

function standStillIfAsked(thread: string): void {
  if (asked() === `${thread} ${process.env.INVOCATION_ID}`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function asked(): string | undefined {
  try {
    return readFileSync(process.env.STUCK ?? '', 'utf8')
  } catch {
    return undefined
  }
}

function hook(thread: string, source: Source): void {
  const { fill } = source
  source.fill = function (this: Source, ring) {
    standStillIfAsked(thread)
    return fill.call(this, ring)
  }
}

if (isMainThread) setInterval(() => standStillIfAsked('main'), LOOK_MS).unref()
else {
  hook('tap', TapSource.prototype)
  hook('udp', UdpSource.prototype)
}
