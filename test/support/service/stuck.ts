/**
 * Loaded before the program (`node --import`), in all its threads. A thread stands still for ever when the file that
 * STUCK names has its name in it (`main`, `tap` or `udp`) and systemd's name of this run. The program is the real one;
 * nothing in it knows of this.
 */
import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { Pulse } from '../../../src/memory/pulse.js'

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

if (isMainThread) setInterval(() => standStillIfAsked('main'), LOOK_MS).unref()
else {
  // What each worker does when it hears its doorbell, whichever fds it reads.
  const { answer } = Pulse.prototype
  Pulse.prototype.answer = function (this: Pulse, role) {
    standStillIfAsked(role)
    answer.call(this, role)
  }
}
