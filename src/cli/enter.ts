/**
 * This runs first and waits for nothing. On SIGUSR1, Node.js would open its debugger on a port to which any
 * user of this machine can connect. Node.js accepts the signal from its own start, some 30 ms before it comes
 * here. If the signal came in that time, this closes the debugger again, at the latest in the first turn of the
 * event loop.
 */
import { createRequire } from 'node:module'
import { setFlagsFromString } from 'node:v8'

process.on('SIGUSR1', () => {})

// V8 then lets its heaps grow less. A tunnel is 6 to 10 MB smaller, and as fast: no frame allocates anything.
setFlagsFromString('--optimize-for-size')

/** Whoever starts Node.js with a debugger wants one. */
const wanted = [process.env.NODE_OPTIONS ?? '', ...process.execArgv].some((it) => it.includes('--inspect'))

function closeDebugger(): void {
  try {
    const inspector = createRequire(import.meta.url)('node:inspector')
    if (inspector.url() !== undefined) inspector.close()
  } catch {
    // This Node.js has no inspector.
  }
}

if (!wanted) {
  closeDebugger()
  setImmediate(closeDebugger)
}

/** Loads and runs a program, unless a limit of this process is too low for any. */
export async function enter(load: () => Promise<unknown>): Promise<void> {
  const { limitTooLow } = await import('./limits.js')
  const tooLow = limitTooLow()
  if (tooLow === undefined) await load()
  else {
    process.stderr.write(`udptun-fast: ${tooLow}\n`)
    process.exitCode = 1
  }
}
