#!/usr/bin/env node
/** The command udptun-fast. */
import { enter } from './enter.js'

await enter(() => import('./program.js'))
