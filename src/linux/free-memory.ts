import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { M_ARENA_MAX } from './constants.js'
import { mallocTrim, mallopt } from './libc.js'

/**
 * Gives back to the kernel what this thread's start has used and nobody needs any more: V8's garbage, and what malloc
 * keeps for later, for example of V8's compilers. It takes some 20 milliseconds.
 */
export function freeMemory(): void {
  // V8 has the function only in a context that is made after this.
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('globalThis.gc')
  if (typeof collect === 'function') {
    // The second time, V8 moves what is left together.
    collect()
    collect()
  }
  mallocTrim(0)
}

/**
 * From now on, all threads share the arenas of malloc (mallopt(3)) that there are, because each would keep what it has freed
 * to itself. No thread allocates for a frame, so none waits for another.
 */
export function shareArenas(): void {
  mallopt(M_ARENA_MAX, 1)
}
