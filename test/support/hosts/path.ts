import { writeFileSync } from 'node:fs'
import type { PathMtuHow } from '../../../src/control/path-mtu/path-mtu.js'
import { connect, Host } from '../../../src/lab/host.js'
import { ok, type RunningTunnel, startTunnel, until, untilPing } from './lab.js'

/** Two hosts with routers between them: links in a row, each with its own MTU. */
export interface Path extends Disposable {
  readonly a: Host
  readonly b: Host
  readonly routers: readonly Host[]
  /** The underlay addresses of the two ends. */
  readonly underlay: { readonly a: string; readonly b: string; readonly a6: string; readonly b6: string }
  /** Sets the MTU of link `index` (counted from a) at both of its ends. */
  setMtu(index: number, mtuBytes: number): void
}

const v4 = (link: number, end: 1 | 2) => `198.18.${link}.${end}`
const v6 = (link: number, end: 1 | 2) => `2001:db8:${link + 1}::${end}`

/** A router's device towards b, and towards a. The two ends have only `eth0`. */
const RIGHT = 'right'
const LEFT = 'left'

/**
 * @param mtus of the links, in bytes, with a router between every two; if one is below 1280, there is no IPv6
 */
export function pathOf(...mtus: readonly number[]): Path {
  const hosts = Array.from({ length: mtus.length + 1 }, (_, index) => new Host(`h${index}`))
  const last = hosts.length - 1
  // Without this, an address cannot be used in its first second.
  for (const host of hosts)
    host.run(() => writeFileSync('/proc/sys/net/ipv6/conf/default/dad_transmits', '0'))
  const rightOf = (index: number) => (index === 0 ? 'eth0' : RIGHT)
  const leftOf = (index: number) => (index === last ? 'eth0' : LEFT)
  const ipv6 = mtus.every((mtuBytes) => mtuBytes >= 1280)
  mtus.forEach((mtuBytes, link) => {
    const end = (host: Host, device: string, which: 1 | 2) => ({
      host,
      device,
      addresses: [`${v4(link, which)}/24`, ...(ipv6 ? [`${v6(link, which)}/64`] : [])],
    })
    connect(end(hosts[link], rightOf(link), 1), end(hosts[link + 1], leftOf(link + 1), 2), mtuBytes)
  })
  hosts.forEach((host, index) => {
    host.run(() => {
      writeFileSync('/proc/sys/net/ipv4/ip_forward', '1')
      writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1')
    })
    mtus.forEach((_, link) => {
      if (link < index - 1) host.route(`198.18.${link}.0/24`, v4(index - 1, 1))
      if (link > index) host.route(`198.18.${link}.0/24`, v4(index, 2))
      if (ipv6 && link < index - 1) host.route(`2001:db8:${link + 1}::/64`, v6(index - 1, 1))
      if (ipv6 && link > index) host.route(`2001:db8:${link + 1}::/64`, v6(index, 2))
    })
  })
  const [a, b] = [hosts[0], hosts[last]]
  return {
    a,
    b,
    routers: hosts.slice(1, -1),
    underlay: { a: v4(0, 1), b: v4(last - 1, 2), a6: v6(0, 1), b6: v6(last - 1, 2) },
    setMtu(link, mtuBytes) {
      hosts[link].configure(rightOf(link), [], { mtuBytes })
      hosts[link + 1].configure(leftOf(link + 1), [], { mtuBytes })
    },
    [Symbol.dispose]() {
      for (const host of hosts) host.close()
    },
  }
}

/** Makes a router drop all ICMP errors that leave towards `side`: its own and those of others. Echoes pass. */
export async function filterIcmp(router: Host, side: 'a' | 'b' | 'both'): Promise<void> {
  const out = side === 'both' ? '' : `oifname ${side === 'a' ? LEFT : RIGHT}`
  const rules = [`${out} icmp type destination-unreachable drop`, `${out} icmpv6 type { 1, 2, 3, 4 } drop`]
  await ok(router, 'nft', 'add', 'table', 'inet', 'filtered')
  for (const hook of ['output', 'forward']) {
    await ok(router, 'nft', `add chain inet filtered ${hook} { type filter hook ${hook} priority 0; }`)
    for (const rule of rules) await ok(router, 'nft', `add rule inet filtered ${hook} ${rule}`)
  }
}

/** Makes a router silently drop packets longer than `mtuBytes` towards b: a black hole in one direction. */
export async function swallow(router: Host, mtuBytes: number): Promise<void> {
  await ok(router, 'nft', 'add', 'table', 'inet', 'hole')
  await ok(router, 'nft', 'add chain inet hole forward { type filter hook forward priority 20; }')
  await ok(router, 'nft', `add rule inet hole forward oifname ${RIGHT} meta length > ${mtuBytes} drop`)
}

/** Makes a router lose this percentage of the packets that it forwards, in both directions. */
export async function lose(router: Host, percent: number): Promise<void> {
  await ok(router, 'nft', 'add', 'table', 'inet', 'loss')
  await ok(router, 'nft', 'add chain inet loss forward { type filter hook forward priority 10; }')
  await ok(router, 'nft', `add rule inet loss forward numgen random mod 1000 < ${percent * 10} drop`)
}

export interface Ends {
  readonly a: RunningTunnel
  readonly b: RunningTunnel
}

/** Starts a tunnel at both ends of a path, over IPv4 or IPv6, with further overlay addresses and flags. */
export async function startEnds(
  { a, b, underlay }: Path,
  { ipv6 = false, local = (_: 1 | 2): string[] => [], flags = [] as readonly string[] } = {},
): Promise<Ends> {
  const start = (host: Host, which: 1 | 2, remote: string) =>
    startTunnel(host, `10.9.0.${which}`, ...local(which), remote, ...flags)
  // IPv6 neighbours need a second to find each other in a new network.
  if (ipv6) await untilPing(a, underlay.b6)
  const [near, far] = await Promise.all([
    start(a, 1, ipv6 ? underlay.b6 : underlay.b),
    start(b, 2, ipv6 ? underlay.a6 : underlay.a),
  ])
  return { a: near, b: far }
}

/** Waits until an end has found the MTU of its path. */
export async function untilPathMtu(
  end: RunningTunnel,
  bytes: number,
  how: PathMtuHow | readonly PathMtuHow[] = 'acknowledged',
  withinMs?: number,
): Promise<void> {
  const known = async () => {
    const { path_mtu } = (await end.status()).peers[0]
    return path_mtu?.bytes === bytes && [how].flat().includes(path_mtu.how) && path_mtu.state !== 'searching'
  }
  await until(`the path of ${end.host.name} is known (${how}) to carry ${bytes}`, known, withinMs)
}

const timeOf = (line: Record<string, unknown> | undefined) => Date.parse(String(line?.time))

/** When an end logged that it was up, and when it last set its MTU (to `mtuBytes`), in ms since the epoch. */
export function settledAt({ log }: RunningTunnel, mtuBytes: number): { upMs: number; setMs: number } {
  const up = log.find(({ msg }) => / is up: /.test(String(msg)))
  const set = log.findLast(({ mtu_bytes }) => mtu_bytes !== undefined)
  if (set?.mtu_bytes !== mtuBytes) throw new Error(`its MTU is ${set?.mtu_bytes}, not ${mtuBytes}`)
  return { upMs: timeOf(up), setMs: timeOf(set) }
}
