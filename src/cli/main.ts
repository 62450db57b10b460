#!/usr/bin/env node
/**
 * The first that runs, with nothing to wait for: SIGUSR1 would have Node open its debugger on a port that any user of
 * this machine can connect to. Node takes the signal from its own start on, some 30 ms before it comes here; if it
 * came by then, the debugger is closed again, at the latest in the first turn of the event loop.
 */
import { createRequire } from 'node:module'

process.on('SIGUSR1', () => {})
/** Whoever starts Node with a debugger wants one. */
const wanted = [process.env.NODE_OPTIONS ?? '', ...process.execArgv].some((it) => it.includes('--inspect'))

function closeDebugger(): void {
  try {
    const inspector = createRequire(import.meta.url)('node:inspector')
    if (inspector.url() !== undefined) inspector.close()
  } catch {
    // This Node has none.
  }
}

if (!wanted) {
  closeDebugger()
  setImmediate(closeDebugger)
}

await import('./program.js')
