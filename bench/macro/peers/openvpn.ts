import { join } from 'node:path'
import { devicesAppear } from './device.js'
import { installed, overlayTunnel, type Peer } from './peer.js'

const DEVICE = 'tap0'
const NETMASK = '255.255.255.0'

/** The small setup with peer fingerprints from the manual (openvpn-examples(5)), with a tap device. */
export const openvpn: Peer = {
  name: 'openvpn',
  title: 'OpenVPN (tap)',
  encrypts: true,
  startSeconds: 2,

  available: () => installed('openvpn', 'openssl'),

  async prepare(lab) {
    const openssl = (...args: string[]) => lab.run(lab.near.host, 'openssl', args)
    const certificate = async (name: string) => {
      const key = join(lab.directory, `${name}.key`)
      const cert = join(lab.directory, `${name}.crt`)
      const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-nodes', '-sha256']
      await openssl(
        'req',
        '-x509',
        ...kind,
        '-keyout',
        key,
        '-out',
        cert,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
      )
      const printed = await openssl('x509', '-fingerprint', '-sha256', '-noout', '-in', cert)
      return { key, cert, fingerprint: printed.split('=')[1] }
    }
    const certificates = { near: await certificate('near'), far: await certificate('far') }

    return async () => {
      const pids = lab.sites.map((site) => {
        const other = lab.other(site)
        const { key, cert } = certificates[site.name]
        return lab.daemon(site.host, 'openvpn', [
          ...['--dev', DEVICE, '--dev-type', 'tap', '--ifconfig', site.overlay, NETMASK],
          ...['--proto', 'udp', '--remote', other.underlay, '--port', '1194'],
          ...(site === lab.near ? ['--tls-client'] : ['--tls-server', '--dh', 'none']),
          ...['--key', key, '--cert', cert, '--peer-fingerprint', certificates[other.name].fingerprint],
          ...['--verb', '1'],
        ]).pid
      })
      await devicesAppear(lab, DEVICE)
      return overlayTunnel(lab, pids)
    }
  },
}
