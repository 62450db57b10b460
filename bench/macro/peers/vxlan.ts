import { release } from 'node:os'
import { Host } from '../../../src/lab/host.js'
import { UNDERLAY_DEVICE } from '../lab.js'
import { runIn } from '../processes.js'
import { configureOverlay } from './device.js'
import { overlayTunnel, type Peer } from './peer.js'

const DEVICE = 'vxlan0'
const KIND = ['type', 'vxlan', 'id', '42', 'dstport', '4789']

/** Point to point, as in ip-link(8): Ethernet in UDP within the kernel. It takes its MTU from the underlay. */
export const vxlan: Peer = {
  name: 'vxlan',
  title: 'kernel VXLAN',
  encrypts: false,
  startSeconds: 0.05,

  async available() {
    using host = new Host('vxlan')
    try {
      const signal = AbortSignal.timeout(5000)
      await runIn(host, 'ip', ['link', 'add', DEVICE, ...KIND, 'remote', '192.0.2.2'], { signal })
      return { version: `Linux ${release()}` }
    } catch (error) {
      return { reason: `the kernel refuses it (${(error as Error).message})` }
    }
  },

  prepare: async (lab) => async () => {
    for (const site of lab.sites) {
      const ends = ['local', site.underlay, 'remote', lab.other(site).underlay, 'dev', UNDERLAY_DEVICE]
      await lab.run(site.host, 'ip', ['link', 'add', DEVICE, ...KIND, ...ends])
      configureOverlay(site, DEVICE)
    }
    return overlayTunnel(lab, [])
  },
}
