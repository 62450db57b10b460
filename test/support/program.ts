import { fileURLToPath } from 'node:url'

/** The built program, as people run it, to start with node. */
export const PROGRAM = fileURLToPath(new URL('../../program/cli/main.js', import.meta.url))

/** The same, not bundled: for what is loaded before it (`node --import`) and changes its classes by their modules. */
export const PROGRAM_OF_MODULES = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))
