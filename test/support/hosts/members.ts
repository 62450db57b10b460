import { ok, startTunnel, until } from './lab.js'
import type { Network } from './network.js'
import type { KeyFolder } from './wireguard-go.js'

export interface MembersOptions {
  readonly mode?: 'tap' | 'tun'
  /** What the members' settings give to the hub beside its address. */
  readonly prefix?: string
  /** More lines of the hub's settings. */
  readonly hub?: readonly string[]
}

/**
 * The first host is a hub that introduces the others, which know only the hub. Resolves when all know all.
 * @returns the tunnels, and what asks a member (from 0 on) for the peers that it was introduced to
 */
export async function startMembers(
  network: Pick<Network, 'hosts' | 'underlay' | 'overlay'>,
  keys: KeyFolder,
  { mode = 'tun', prefix, hub: hubLines = [] }: MembersOptions = {},
) {
  const pairs = network.hosts.map((_, index) => keys.make(`h${index}`))
  const others = network.hosts.map((_, index) => index).slice(1)
  const file = (index: number, ...lines: readonly string[]) =>
    keys.write(
      `h${index}.yaml`,
      [
        `mode: ${mode}`,
        `local: [${network.overlay(index)}]`,
        `private_key_file: ${pairs[index].file}`,
        ...lines,
      ].join('\n'),
    )
  const hubFile = file(
    0,
    'introduce: true',
    ...hubLines,
    'peers:',
    ...others.map(
      (index) =>
        `  - {name: m${index}, public_key: "${pairs[index].publicKey}", addresses: [${network.overlay(index)}]}`,
    ),
  )
  const more = prefix === undefined ? '' : `, prefixes: [${prefix}]`
  const peer = `  - {name: hub, endpoint: ${network.underlay(0)}, public_key: "${pairs[0].publicKey}", addresses: [${network.overlay(0)}], introducer: true${more}}`
  const hub = await startTunnel(network.hosts[0], '--config', hubFile)
  const members = await Promise.all(
    others.map((index) => startTunnel(network.hosts[index], '--config', file(index, 'peers:', peer))),
  )
  const introduced = async (index: number) =>
    (await members[index].status(`${mode}0`)).peers.filter(({ introduced_by }) => introduced_by === 'hub')
  await until('all know all', async () => {
    const all = await Promise.all(members.map((_, index) => introduced(index)))
    return all.every((peers) => peers.length === members.length - 1)
  })
  const stop = () => Promise.all([hub, ...members].map((it) => it.stop()))
  return { hub, members, introduced, stop }
}

/** Two hosts of a network reach each other no more (or again). */
export async function part(network: Network, a: number, b: number, apart = true): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ])
    await ok(
      network.hosts[from],
      ...['ip', 'route', apart ? 'add' : 'del', 'blackhole', `${network.underlay(to)}/32`],
    )
}
