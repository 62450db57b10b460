#!/usr/bin/env node
/** The command udptun-fast. */
import { enter } from './enter.js'

await enter(() => (process.argv[2] === 'start' ? import('./tunnel-program.js') : import('./program.js')))
