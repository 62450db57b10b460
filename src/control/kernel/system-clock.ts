import { BootClock } from '../../linux/clock.js'
import type { Clock, Timer } from '../clock.js'

/** The clocks of the kernel, and the timers of Node.js. @throws KernelError if there is no `CLOCK_BOOTTIME` */
export function systemClock(): Clock {
  const boot = new BootClock()
  return {
    nowMs: () => performance.now(),
    bootMs: () => boot.now(),
    unixMs: () => Date.now(),
    after(ms, work): Timer {
      const timer = setTimeout(work, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    every(ms, work): Timer {
      const timer = setInterval(work, ms)
      return { cancel: () => clearInterval(timer) }
    },
  }
}
