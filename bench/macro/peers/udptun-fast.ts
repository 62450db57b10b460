import { fileURLToPath } from 'node:url'
import { version } from '../../../src/version.js'
import { OVERLAY_PREFIX } from '../lab.js'
import { devicesAppear } from './device.js'
import { overlayTunnel, type Peer } from './peer.js'

const PROGRAM = fileURLToPath(new URL('../../../src/cli/main.js', import.meta.url))
const DEVICE = 'tap0'

/** The name under which this project's tunnel is measured. */
export const SUBJECT = 'udptun-fast'

export const udptunFast: Peer = {
  name: SUBJECT,
  title: 'udptun-fast',
  encrypts: false,
  startSeconds: 0.9,
  available: async () => ({ version }),
  prepare: async (lab) => async () => {
    const pids = lab.sites.map((site) => {
      const overlay = `${site.overlay}/${OVERLAY_PREFIX}`
      const args = [
        PROGRAM,
        'start',
        overlay,
        lab.other(site).underlay,
        '--dev',
        DEVICE,
        '--log-level',
        'warn',
      ]
      return lab.daemon(site.host, process.execPath, args).pid
    })
    await devicesAppear(lab, DEVICE)
    return overlayTunnel(lab, pids)
  },
}
