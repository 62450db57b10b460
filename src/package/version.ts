import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { programFile } from './files.js'

/** This package's version, from its package.json. */
export const version: string = createRequire(import.meta.url)(
  fileURLToPath(programFile('../../package.json')),
).version
