/**
 * A tunnel with shorter times of WireGuard's protocol, so that a test does not wait for minutes. The arguments
 * are the times in JSON, then those of `udptun-fast start` with a wg-quick(8) file.
 */
import { createLog } from '../../../src/cli/log.js'
import { loadSettings } from '../../../src/config/load.js'
import { readWgQuick } from '../../../src/config/wg-quick.js'
import { LinuxPlatform } from '../../../src/control/assembly.js'
import { Faults } from '../../../src/control/faults.js'
import { Tunnel } from '../../../src/control/tunnel.js'
import { TIMES } from '../../../src/noise/times.js'

const [, , times, , file] = process.argv

/** This host, but with other times of the protocol. */
class HastyPlatform extends LinuxPlatform {
  override readonly times = { ...TIMES, ...JSON.parse(times) }
}

const settings = loadSettings({}, readWgQuick(file))
const log = await createLog(settings)
const { signal } = new AbortController()
const faults = new Faults(log)
const platform = await HastyPlatform.open({ settings, log, faults })
const tunnel = await Tunnel.start({ settings, log, faults, signal, platform })
process.once('SIGTERM', async () => {
  await tunnel.stop()
  process.exit(0)
})
