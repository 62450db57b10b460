import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { OVERLAY_PREFIX } from '../lab.js'
import { findProgram, packageVersion } from '../processes.js'
import { devicesAppear } from './device.js'
import { overlayTunnel, type Peer } from './peer.js'

const DEVICE = 'tap0'

/** Switch mode, with files and script as in the manual's example. `near` connects to `far`. */
export const tinc: Peer = {
  name: 'tinc',
  title: 'tinc (switch)',
  encrypts: true,
  startSeconds: 1,

  async available() {
    if (findProgram('tincd') === undefined) return { reason: 'tincd is not installed' }
    return { version: (await packageVersion('tinc')) ?? 'unknown version' }
  },

  async prepare(lab) {
    const hosts: Record<string, string> = {}
    for (const { host, name, overlay, underlay } of lab.sites) {
      mkdirSync(join(lab.directory, name, 'hosts'), { recursive: true })
      lab.file(
        `${name}/tinc.conf`,
        [
          `Name = ${name}`,
          'Mode = switch',
          'DeviceType = tap',
          `Interface = ${DEVICE}`,
          'AddressFamily = ipv4',
          '',
        ]
          .concat(name === 'near' ? ['ConnectTo = far', ''] : [])
          .join('\n'),
      )
      lab.file(
        `${name}/tinc-up`,
        `#!/bin/sh\nip addr add ${overlay}/${OVERLAY_PREFIX} dev $INTERFACE\nip link set $INTERFACE up\n`,
        0o700,
      )
      lab.file(`${name}/hosts/${name}`, `Address = ${underlay}\n`)
      await lab.run(host, 'tincd', ['-c', join(lab.directory, name), '-K2048'])
      hosts[name] = readFileSync(join(lab.directory, name, 'hosts', name), 'utf8')
    }
    lab.file('near/hosts/far', hosts.far)
    lab.file('far/hosts/near', hosts.near)

    return async () => {
      // Start the far one first. A first attempt without an answer is repeated only after five seconds.
      const pids = lab.sites.toReversed().map(({ host, name }) => {
        const directory = join(lab.directory, name)
        return lab.daemon(host, 'tincd', ['-c', directory, '-D', '--pidfile', join(directory, 'pid')]).pid
      })
      await devicesAppear(lab, DEVICE)
      return overlayTunnel(lab, pids)
    }
  },
}
