/** A thread that lives the life of a crypto worker. */
import { parentPort, workerData } from 'node:worker_threads'
import { help } from '../../src/worker/crypto/crypto-worker.js'

parentPort?.postMessage('begins')
help(workerData)
