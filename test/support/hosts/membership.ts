import type { Host } from '../../../src/lab/host.js'
import { type RunningTunnel, startTunnel } from './lab.js'
import type { KeyFolder } from './wireguard-go.js'

export interface Place {
  readonly host: Host
  /** The UDP port of its tunnel. */
  readonly port: number
}

export interface Membership {
  readonly mode: 'tap' | 'tun'
  readonly keys: KeyFolder
  readonly hub: Place & { readonly address: string }
  readonly members: readonly Place[]
  /** What the members' settings give to the hub beside its address. */
  readonly prefix?: string
}

export const overlayOf = (index: number) => `10.9.0.${index + 1}`

/** Starts a hub that introduces, and members that know only the hub: member `i` has the name `m${i}`. */
export async function startMembers({ mode, keys, hub, members, prefix }: Membership) {
  const all = [hub, ...members]
  const pairs = all.map((_, index) => keys.make(`h${index}`))
  const start = ({ host, port }: Place, index: number, ...lines: readonly string[]) => {
    const own = [
      `mode: ${mode}`,
      `local: [${overlayOf(index)}]`,
      `listen: ${port}`,
      `private_key_file: ${pairs[index].file}`,
    ]
    return startTunnel(host, '--config', keys.write(`h${index}.yaml`, [...own, ...lines].join('\n')))
  }
  const peer = (index: number, name: string, ...more: readonly string[]) =>
    `  - {${[`name: ${name}`, `public_key: "${pairs[index].publicKey}"`, `addresses: [${overlayOf(index)}]`, ...more].join(', ')}}`
  const known = members.map((_, index) => peer(index + 1, `m${index}`))
  const hubTunnel = await start(hub, 0, 'introduce: true', 'peers:', ...known)
  const more = prefix === undefined ? [] : [`prefixes: [${prefix}]`]
  const hubPeer = peer(0, 'hub', `endpoint: "${hub.address}:${hub.port}"`, 'introducer: true', ...more)
  const tunnels: RunningTunnel[] = await Promise.all(
    members.map((member, index) => start(member, index + 1, 'peers:', hubPeer)),
  )
  return { hub: hubTunnel, members: tunnels }
}
