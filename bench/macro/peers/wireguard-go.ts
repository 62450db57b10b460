import { existsSync, rmdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Lab } from '../lab.js'
import { configureOverlay, devicesAppear } from './device.js'
import { installed, overlayTunnel, type Peer, type Tunnel } from './peer.js'

const PORT = 51820
const SOCKETS = '/var/run/wireguard'
/** Room that wg-quick(8) leaves for the encapsulation. It is enough for an underlay with IPv6. */
const OVERHEAD_BYTES = 80

export const wireguardGo: Peer = {
  name: 'wireguard-go',
  title: 'wireguard-go',
  encrypts: true,
  startSeconds: 0.4,
  available: () => installed('wireguard-go', 'wg'),
  prepare: (lab) => prepareByWg(lab, 'wireguard-go'),
}

const CACHE = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
const TRIXIE = join(CACHE, 'udptun-fast', 'wireguard-go-trixie', 'usr', 'bin', 'wireguard-go')

/** The version of Debian trixie, which has offloads. The version of bookworm has none. */
export const wireguardGoTrixie: Peer = {
  name: 'wireguard-go-trixie',
  title: 'wireguard-go with offloads (Debian trixie)',
  encrypts: true,
  startSeconds: 0.4,
  async available() {
    if (!existsSync(TRIXIE)) return { reason: 'it has not been fetched; run bench/fetch-wireguard-go.sh' }
    const wg = await installed('wg')
    return 'reason' in wg ? wg : { version: '0.0.20231211' }
  },
  prepare: (lab) => prepareByWg(lab, TRIXIE),
}

/** Two devices that `program` makes, and that wg(8) sets up. @param args come before `-f` and the device's name */
export async function prepareByWg(
  lab: Lab,
  program: string,
  ...args: readonly string[]
): Promise<() => Promise<Tunnel>> {
  const generate = async () => {
    const secret = await lab.run(lab.near.host, 'wg', ['genkey'])
    return { secret, public: await lab.run(lab.near.host, 'wg', ['pubkey'], secret) }
  }
  const keys = { near: await generate(), far: await generate() }
  // The hosts share the folder of control sockets. So the names must be unique, also among other benchmarks.
  const devices = { near: `wgn${process.pid}`, far: `wgf${process.pid}` }
  const hadSockets = existsSync(SOCKETS)
  lab.defer(() => {
    for (const device of Object.values(devices)) rmSync(`${SOCKETS}/${device}.sock`, { force: true })
    try {
      if (!hadSockets) rmdirSync(SOCKETS)
    } catch {
      // The folder contains another program's socket, or it was never made.
    }
  })

  return async () => {
    const pids = lab.sites.map(
      ({ host, name }) =>
        lab.daemon(host, program, [...args, '-f', devices[name]], { WG_PROCESS_FOREGROUND: '1' }).pid,
    )
    await devicesAppear(lab, devices)
    for (const site of lab.sites) {
      const { host, name } = site
      const other = lab.other(site)
      const device = devices[name]
      await lab.until(`${device}'s control socket`, () => existsSync(`${SOCKETS}/${device}.sock`))
      const key = lab.file(`${name}.key`, keys[name].secret)
      await lab.run(host, 'wg', [
        ...['set', device, 'private-key', key, 'listen-port', String(PORT)],
        ...['peer', keys[other.name].public, 'allowed-ips', `${other.overlay}/32`],
        ...['endpoint', `${other.underlay}:${PORT}`],
      ])
      configureOverlay(site, device, lab.spec.mtuBytes - OVERHEAD_BYTES)
    }
    return overlayTunnel(lab, pids)
  }
}
