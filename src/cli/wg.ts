#!/usr/bin/env node
/** The command udptun-fast-wg. */
import { enter } from './enter.js'

await enter(() => import('./wg-program.js'))
