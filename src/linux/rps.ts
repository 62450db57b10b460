import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** Linux 6.4: which processors take packets of an interface that is made from now on (this network namespace's). */
const DEFAULT_MASK = '/proc/sys/net/core/rps_default_mask'

/**
 * Makes an interface whose packets all processors share (the kernel's Documentation/networking/scaling.rst, RPS),
 * unless somebody has chosen the processors of new interfaces, or the kernel cannot. What `make` does must not wait.
 */
export function withPacketSteering<T>(make: () => T): T {
  const restore = steer()
  try {
    return make()
  } finally {
    restore()
  }
}

/** @returns a function that puts it back */
function steer(): () => void {
  const nothing = () => {}
  try {
    const before = readFileSync(DEFAULT_MASK, 'latin1').trim()
    if (!/^[0,]*$/.test(before)) return nothing
    writeFileSync(DEFAULT_MASK, processorMask(availableParallelism()))
    return () => writeFileSync(DEFAULT_MASK, before)
  } catch {
    // An older kernel, or /proc/sys is read-only: one processor takes them.
    return nothing
  }
}

/** The first `count` processors, as the kernel reads it: hexadecimal digits, a comma before each eight. */
export function processorMask(count: number): string {
  const words: string[] = []
  for (let left = count; left > 0; left -= 32)
    words.unshift(left >= 32 ? 'ffffffff' : (2 ** left - 1).toString(16))
  return words.join(',')
}
