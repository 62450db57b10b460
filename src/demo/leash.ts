/** Imported ahead of a program (`node --import`), ends it with its parent, however that ends. */
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { signalOnParentDeath } from '../linux/process.js'

if (isMainThread) signalOnParentDeath(constants.signals.SIGTERM)
