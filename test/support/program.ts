import { fileURLToPath } from 'node:url'

/** The built program, as people run it, to start with node. */
export const PROGRAM = fileURLToPath(new URL('../../program/cli/main.js', import.meta.url))
