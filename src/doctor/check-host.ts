import { CAPABILITIES, type Capability, type Facts } from './facts.js'
import { doubtful, type Finding, fine, wrong } from './finding.js'

/** What is wrong with this host, whether a tunnel runs or not. */
export function checkHost(facts: Facts): Finding[] {
  return [
    ...checkTun(facts),
    ...checkCapabilities(facts),
    ...checkPort(facts),
    ...checkReversePath(facts),
    ...checkConntrack(facts),
    ...checkClock(facts),
  ]
}

function checkTun({ tun: { node, driver } }: Facts): Finding[] {
  if (node === 'missing')
    return [
      wrong(
        'tun.missing',
        'there is no /dev/net/tun, so no device can be made',
        'load the module with modprobe tun; in a container, pass the device in with --device /dev/net/tun',
      ),
    ]
  if (node === 'forbidden')
    return [
      wrong(
        'tun.forbidden',
        'this user may not open /dev/net/tun, so no device can be made',
        'run as root, or allow the device to the container or service',
      ),
    ]
  if (!driver)
    return [
      doubtful(
        'tun.not_loaded',
        "the kernel's module tun is not loaded; a start loads it if this kernel has it",
        'try: modprobe tun',
      ),
    ]
  return [fine('tun.usable', '/dev/net/tun can be opened, and its driver is there')]
}

const WITHOUT: Readonly<Record<Capability, string>> = {
  NET_ADMIN: 'no device can be made or set up',
  NET_RAW: "ICMP is not heard, and the kernel's own datapath is not used",
  BPF: "the kernel's own datapath is not used, so that the workers carry all frames",
}

function checkCapabilities({ capabilities, status }: Facts): Finding[] {
  if (capabilities === undefined)
    return [
      doubtful(
        'capability.not_seen',
        "the tunnel's capabilities are not known, because its process cannot be seen from here",
        'start doctor where the tunnel was started, such as in its container',
      ),
    ]
  const names = Object.keys(CAPABILITIES) as Capability[]
  const isPrivate = status !== undefined && status.privacy !== null
  // The kernel's own datapath is not for private tunnels.
  const missing = names.filter((it) => !capabilities[it] && !(isPrivate && it === 'BPF'))
  const who = status === undefined ? 'this user' : 'the tunnel'
  if (missing.length === 0) return [fine('capability.all', `${who} has all capabilities that are used`)]
  return missing.map((it) =>
    (it === 'NET_ADMIN' ? wrong : doubtful)(
      `capability.${it.toLowerCase()}`,
      `${who} does not have CAP_${it}, so ${WITHOUT[it]}`,
      `run as root, or give it CAP_${it}`,
    ),
  )
}

function checkPort({ port, portTaken, status, noAnswer }: Facts): Finding[] {
  // It may have this port itself, or another one.
  if (noAnswer !== null) return []
  const trouble = status?.listen_trouble ?? null
  if (status !== undefined && trouble !== null)
    return [
      wrong(
        'port.not_listening',
        `the tunnel waits to listen on ${status.listen}: ${trouble}`,
        'give this host the address, or another one to --listen',
      ),
    ]
  if (status !== undefined) return [fine('port.listening', `the tunnel listens on ${status.listen}`)]
  if (!portTaken) return [fine('port.free', `UDP port ${port} is free`)]
  return [
    wrong(
      'port.taken',
      `another program has UDP port ${port}, so no tunnel can listen there`,
      `see which one with: ss -lunp "sport = :${port}"; or listen elsewhere with --listen <port>`,
    ),
  ]
}

const STRICT = 1

function checkReversePath({ reversePath: { filters, dropped }, status }: Facts): Finding[] {
  const names = Object.keys(filters)
  const strict = names.filter((it) => filters[it] === STRICT)
  if (strict.length === 0 || names.length < 2)
    return [fine('rp_filter.harmless', 'reverse-path filtering drops nothing of the tunnel')]
  const ways = new Set(status?.peers.flatMap((it) => it.underlay?.interface ?? []))
  const others = strict.filter((it) => !ways.has(it))
  const waits = status?.peers.some(({ state }) => state !== 'up') === true
  const text = `strict reverse-path filtering is on for ${strict.join(', ')}, and this host has several interfaces: what comes by one is dropped if the way back is by another`
  const advice = `if that is not meant, make it loose: ${strict.map(loosened).join('; ')}`
  if (dropped > 0 && waits && others.length > 0)
    return [wrong('rp_filter.drops', `${text}; it has dropped ${dropped} packets`, advice)]
  return [doubtful('rp_filter.strict', text, advice)]
}

/** sysctl(8) wants a slash for a dot that is part of a name. */
function loosened(name: string): string {
  return `sysctl net.ipv4.conf.${name.replaceAll('.', '/')}.rp_filter=2`
}

/** So much of the table in use is close to full. */
const MUCH = 0.9

function checkConntrack({ conntrack, translated }: Facts): Finding[] {
  const nat = translated.map((peer) =>
    doubtful(
      'conntrack.nat',
      "netfilter of this host changes addresses or ports of the tunnel's datagrams to it",
      'if that is not meant, take this port out of the NAT rules; see: nft list ruleset',
      peer,
    ),
  )
  if (conntrack === undefined || conntrack.max === 0) return nat
  const { count, max } = conntrack
  const advice = `raise it with: sysctl net.netfilter.nf_conntrack_max=${2 * max}`
  if (count >= max)
    return [
      wrong('conntrack.full', `the table of connections is full (${count}), so new ones are dropped`, advice),
      ...nat,
    ]
  if (count >= MUCH * max)
    return [
      doubtful(
        'conntrack.nearly_full',
        `the table of connections is nearly full (${count} of ${max})`,
        advice,
      ),
      ...nat,
    ]
  return [fine('conntrack.room', `the table of connections has room (${count} of ${max})`), ...nat]
}

/** A clock before this program was written is wrong. */
const WRITTEN_MS = Date.UTC(2026, 0, 1)

/** The files are written now and then, so the clock may be a little behind them. */
const TOLERANCE_MS = 60_000

function checkClock({ clock: { nowMs, leastMs } }: Facts): Finding[] {
  const least = Math.max(WRITTEN_MS, leastMs - TOLERANCE_MS)
  if (nowMs >= least) return [fine('clock.forward', "the clock is not behind this host's own past")]
  return [
    wrong(
      'clock.behind',
      `the clock says ${new Date(nowMs).toISOString()}, which this host has passed already: peers of a private tunnel refuse handshakes with a time before the last one`,
      'set it, such as with: timedatectl set-ntp true',
    ),
  ]
}
