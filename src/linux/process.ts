import { PR_SET_DUMPABLE, PR_SET_PDEATHSIG, RLIMIT_CORE } from './constants.js'
import { _exit, getpgid, must, prctl, setrlimit } from './libc.js'

/**
 * Has the kernel send this process `signal` (a number) when its parent ends, at once when that has ended
 * already (prctl(2), `PR_SET_PDEATHSIG`). A leader of its own process group was started to live on, and is
 * left alone.
 */
export function signalOnParentDeath(signal: number): void {
  const group = getpgid(0)
  if (group === process.pid) return
  must('prctl', () => prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0))
  // An orphan's new parent is of another group than what its old parent started it in.
  if (getpgid(process.ppid) !== group) process.kill(process.pid, signal)
}

/**
 * No core dump of this process is written, and no other of the same user may look into it (`PR_SET_DUMPABLE`). The
 * kernel undoes that where a process takes on other credentials, but not its limit on core dumps, which is zero, too.
 */
export function makeUndumpable(): void {
  must('setrlimit', () => setrlimit(RLIMIT_CORE, new BigUint64Array(2)))
  must('prctl', () => prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
}

/**
 * Ends the process like `process.exit`, but without waiting for a name look-up that is under way in libuv's
 * thread pool, which can take ten seconds and cannot be cancelled.
 */
export function exitNow(code: number): never {
  process.emit('exit', code)
  return _exit(code) as never
}
