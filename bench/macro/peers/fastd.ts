import { configureOverlay, devicesAppear, ETHERNET_BYTES, UDP_IPV4_BYTES } from './device.js'
import { installed, overlayTunnel, type Peer } from './peer.js'

const PORT = 10_000
const DEVICE = 'tap0'
/** For every encrypting method, from the manual's chapter on the MTU. */
const METHOD_BYTES = 24
/**
 * The manual has salsa2012+umac. With that, every packet between two fastd 22 of Debian 12 fails verification.
 */
const METHOD = 'salsa2012+gmac'

export const fastd: Peer = {
  name: 'fastd',
  title: 'fastd',
  encrypts: true,
  startSeconds: 0.5,

  available: () => installed('fastd'),

  async prepare(lab) {
    const generate = async () => {
      const printed = await lab.run(lab.near.host, 'fastd', ['--generate-key', '--machine-readable'])
      const secret = printed.trim()
      const config = lab.file('key.conf', `secret "${secret}";`)
      const shown = await lab.run(lab.near.host, 'fastd', [
        '--show-key',
        '--machine-readable',
        '--config',
        config,
      ])
      return { secret, public: shown.trim() }
    }
    const keys = { near: await generate(), far: await generate() }
    const mtuBytes = lab.spec.mtuBytes - UDP_IPV4_BYTES - METHOD_BYTES - ETHERNET_BYTES

    return async () => {
      // Only one end starts the handshake. Two crossing handshakes can leave each end with keys that the other
      // lacks.
      const pids = lab.sites.toReversed().map((site) => {
        const other = lab.other(site)
        const remote = site === lab.near ? `remote ${other.underlay}:${PORT};` : ''
        const config = lab.file(
          `${site.name}.conf`,
          `log level warn;
           mode tap;
           interface "${DEVICE}";
           method "${METHOD}";
           mtu ${mtuBytes};
           bind ${site.underlay}:${PORT};
           secret "${keys[site.name].secret}";
           peer "${other.name}" { key "${keys[other.name].public}"; ${remote} }`,
        )
        return lab.daemon(site.host, 'fastd', ['--config', config]).pid
      })
      await devicesAppear(lab, DEVICE)
      for (const site of lab.sites) configureOverlay(site, DEVICE)
      return overlayTunnel(lab, pids)
    }
  },
}
