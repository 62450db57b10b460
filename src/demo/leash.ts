/**
 * Import this before a program (`node --import`). The program then ends with its parent, however the parent
 * ends.
 */
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { signalOnParentDeath } from '../linux/process.js'

if (isMainThread) signalOnParentDeath(constants.signals.SIGTERM)
