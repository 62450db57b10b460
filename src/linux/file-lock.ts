import { LOCK_EX, LOCK_NB } from './constants.js'
import { flock } from './libc.js'

/**
 * Locks a file for as long as the descriptor is open (flock(2)). The kernel ends the lock, too, when the program is
 * killed.
 * @returns false if another program has it, or if the file system has no locks
 */
export function tryLock(fd: number): boolean {
  return flock(fd, LOCK_EX | LOCK_NB) === 0
}
