import { OVERLAY_PREFIX } from '../lab.js'
import { devicesAppear, ETHERNET_BYTES, UDP_IPV4_BYTES } from './device.js'
import { installed, overlayTunnel, type Peer } from './peer.js'

const PORT = 5150
const DEVICE = 'tap0'

/** socat(1)'s TUN address, connected to a UDP socket. */
export const socat: Peer = {
  name: 'socat',
  title: 'socat',
  encrypts: false,
  startSeconds: 0.1,

  available: () => installed('socat'),

  prepare: async (lab) => async () => {
    const pids = lab.sites.map((site) => {
      const udp = `UDP4-DATAGRAM:${lab.other(site).underlay}:${PORT},bind=:${PORT}`
      const tap = `TUN:${site.overlay}/${OVERLAY_PREFIX},tun-name=${DEVICE},tun-type=tap,iff-no-pi`
      return lab.daemon(site.host, 'socat', [udp, tap]).pid
    })
    await devicesAppear(lab, DEVICE)
    for (const site of lab.sites) {
      site.host.configure(DEVICE, [], { mtuBytes: lab.spec.mtuBytes - UDP_IPV4_BYTES - ETHERNET_BYTES })
    }
    return overlayTunnel(lab, pids)
  },
}
