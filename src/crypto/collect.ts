import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collector: (() => void) | undefined

/**
 * Runs V8's garbage collector. OpenSSL wipes a key when the last object of `node:crypto` that holds it is collected, and
 * nothing else makes it do so. The main thread stands still for about 10 ms.
 */
export function collectGarbage(): void {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc')
    collector = runInNewContext('gc') as () => void
  }
  collector()
}
