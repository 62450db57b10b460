import { readFileSync } from 'node:fs'
import { PR_SET_DUMPABLE, PR_SET_PDEATHSIG, RLIMIT_CORE } from './constants.js'
import { _exit, getpgid, must, prctl, setrlimit } from './libc.js'

/**
 * The kernel sends this process `signal` (a number) when its parent ends (prctl(2), `PR_SET_PDEATHSIG`). If the
 * parent has ended already, the signal comes at once. Nothing happens if this process leads its own process
 * group: such a process was started to outlive its parent.
 */
export function signalOnParentDeath(signal: number): void {
  const group = getpgid(0)
  if (group === process.pid) return
  must('prctl', () => prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0))
  // If the old parent has ended, the new parent is not in the process group in which this process was started.
  if (getpgid(process.ppid) !== group) process.kill(process.pid, signal)
}

/**
 * Prevents core dumps of this process, and other processes of the same user from reading its memory
 * (`PR_SET_DUMPABLE`). The kernel resets that if the process changes its credentials. The limit of zero on core
 * dumps stays, so it is set too.
 */
export function makeUndumpable(): void {
  must('setrlimit', () => setrlimit(RLIMIT_CORE, new BigUint64Array(2)))
  must('prctl', () => prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
}

/**
 * Whether a process has a capability now (`CapEff` in proc_pid_status(5)).
 * @param number its number in <linux/capability.h>
 * @throws Error if there is no such process
 */
export function hasCapability(number: number, pid: number | 'self' = 'self'): boolean {
  const [, mask = '0'] = /^CapEff:\s+([\da-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return (BigInt(`0x${mask}`) & (1n << BigInt(number))) !== 0n
}

/**
 * Ends the process like `process.exit`, but at once. A look-up of a name can take ten seconds and cannot be cancelled.
 * `exit(3)` would take down what the thread that does it still uses.
 */
export function exitNow(code: number): never {
  process.emit('exit', code)
  return _exit(code) as never
}
