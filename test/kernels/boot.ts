import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeInitrd } from './initrd.js'
import type { Kernel } from './kernels.js'

/** How often the guest's serial line is looked at. */
const LOOK_MS = 1_000

/** Of the guest's time. It may go by much slower than ours, because the guest's processor is emulated. */
const BOOT_S = 300
const SLOWER = 4

const MEMORY = '3072'

export interface BootOptions {
  readonly kernel: Kernel
  readonly checks: readonly string[]
  /** Of each check. */
  readonly limitS: number
  /** Takes each line of the results. */
  readonly onLine: (line: string) => void
}

/**
 * Boots a kernel under qemu, with this machine's files below the guest's, read-only. qemu emulates the processor (TCG):
 * that is slow, and works on any machine. One virtual processor and a low priority leave room for others.
 * @returns the last lines of its console
 */
export async function boot({ kernel, checks, limitS, onLine }: BootOptions): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-kernels-'))
  const [console, results] = ['console', 'results'].map((name) => join(folder, name))
  const settings = `PROJECT=${process.cwd()} MODULES=${kernel.modules} CHECKS=${checks.join()} LIMIT_S=${limitS}`
  const machine = [
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-smp',
    '1',
    '-m',
    MEMORY,
    // The guest's time goes by its instructions, 4 ns each; while it is idle, it goes as ours does. So it does not
    // notice that this machine is busy, or how slowly qemu emulates.
    ...['-icount', 'shift=2,align=off,sleep=on', '-rtc', 'clock=vm'],
    '-nodefaults',
    '-no-user-config',
  ]
  const files = 'local,path=/,mount_tag=below,security_model=none,readonly=on,multidevs=remap'
  const qemu = spawn(
    'nice',
    [
      ...['-n', '5', 'qemu-system-x86_64', ...machine, '-display', 'none', '-no-reboot'],
      ...['-serial', `file:${console}`, '-serial', `file:${results}`, '-virtfs', files],
      ...['-kernel', kernel.image, '-initrd', makeInitrd(kernel, folder)],
      ...['-append', `console=ttyS0 panic=-1 loglevel=4 ${settings}`],
    ],
    { stdio: ['ignore', 'ignore', openSync(join(folder, 'qemu'), 'w')] },
  )
  const kill = () => qemu.kill('SIGKILL')
  const cleanUp = () => {
    kill()
    rmSync(folder, { recursive: true, force: true })
  }
  process.once('exit', cleanUp)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const timer = setTimeout(kill, SLOWER * (BOOT_S + checks.length * (limitS + 10)) * 1_000)
  const ended = once(qemu, 'exit').then(() => true)
  let seen = 0
  for (let over = false; !over; ) {
    over = await Promise.race([ended, sleep(LOOK_MS, false)])
    const text = readText(results)
    const whole = text.lastIndexOf('\n') + 1
    for (const line of text.slice(seen, whole).split('\n')) if (line.trim() !== '') onLine(line.trim())
    seen = Math.max(seen, whole)
  }
  clearTimeout(timer)
  process.removeListener('exit', cleanUp)
  const last = `${readText(join(folder, 'qemu'))}${readText(console)}`
  cleanUp()
  return last
}

/** Nothing, as long as there is no such file. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
