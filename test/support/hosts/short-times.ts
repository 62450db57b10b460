/**
 * A tunnel with shorter times of WireGuard's protocol, so that a test does not wait for minutes. The arguments
 * are the times in JSON, then those of `udptun-fast start` with a wg-quick(8) file.
 */
import { createLog } from '../../../src/cli/log.js'
import { loadSettings } from '../../../src/config/load.js'
import { readWgQuick } from '../../../src/config/wg-quick.js'
import { Tunnel } from '../../../src/control/tunnel.js'

const [, , times, , file] = process.argv
const settings = loadSettings({}, readWgQuick(file))
const log = await createLog(settings)
const signal = new AbortController().signal
const tunnel = await Tunnel.start(settings, log, signal, undefined, JSON.parse(times))
process.once('SIGTERM', async () => {
  await tunnel.stop()
  process.exit(0)
})
