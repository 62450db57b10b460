import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import { askStatus, processOf } from '../command/client.js'
import { listSockets } from '../command/path.js'
import type { StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { printedBy } from '../host/program.js'
import { Conntrack } from '../linux/conntrack.js'
import { KernelError } from '../linux/errno.js'
import { egressTo } from '../linux/interface.js'
import { Netlink } from '../linux/netlink.js'
import { hasCapability } from '../linux/process.js'
import { splitEndpoint } from './check-firewall.js'
import { withoutDormant } from './dormant.js'
import { CAPABILITIES, type Capability, type Facts, type FirewallFacts } from './facts.js'

/**
 * Looks at this host and at a tunnel, and changes nothing.
 * @param device of the tunnel; undefined if none runs
 * @param port where a tunnel would listen, if none runs
 */
export async function collectFacts(device: string | undefined, port: number): Promise<Facts> {
  const answer = device === undefined ? undefined : await statusOrWhy(device)
  const status = typeof answer === 'object' ? answer : undefined
  const pid = status === undefined ? undefined : processOf(status.device)
  if (status !== undefined) requireSockets(status, pid)
  const ownDevice = status?.netns === null ? status.device : undefined
  const listened = splitPort(status?.listen) ?? port
  return {
    status,
    noAnswer: typeof answer === 'string' ? answer : null,
    pid,
    own: ownFacts(ownDevice),
    tun: tunFacts(),
    capabilities: capabilitiesOf(status === undefined ? 'self' : pid),
    port: listened,
    portTaken: isPortTaken(listened),
    firewall: await firewallFacts(),
    reversePath: {
      filters: reversePathFilters(ownDevice),
      dropped: netstat('IPReversePathFilter'),
    },
    conntrack: conntrackFacts(),
    translated: status === undefined ? [] : translatedPeers(status),
    looped: status === undefined ? [] : loopedPeers(status),
    clock: { nowMs: Date.now(), leastMs: Math.max(0, ...CLOCK_FILES.map(modifiedMs)) },
  }
}

/** Firewall, ports and ways are those of the namespace of the tunnel's sockets. @throws UserError in another one */
function requireSockets({ device, netns }: StatusReport, pid: number | undefined): void {
  if (netns === null || listSockets().some((it) => it.elsewhere && it.device === device)) return
  const enter =
    pid === undefined ? '' : `, so ask there: nsenter --target ${pid} --net udptun-fast doctor ${device}`
  throw new UserError(`the sockets of the tunnel on ${device} are in another network namespace${enter}`)
}

/** @returns a sentence if it does not answer */
async function statusOrWhy(device: string): Promise<StatusReport | string> {
  try {
    return await askStatus(device)
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
}

function splitPort(listen: string | undefined): number | undefined {
  const [, port] = /:(\d+)$/.exec(listen ?? '') ?? []
  return port === undefined ? undefined : Number(port)
}

/** Opening the node would load the module, so that is not done. */
function tunFacts(): Facts['tun'] {
  const driver = existsSync('/sys/class/misc/tun')
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    return { node: 'usable', driver }
  } catch {
    return { node: existsSync('/dev/net/tun') ? 'forbidden' : 'missing', driver }
  }
}

function ownFacts(device: string | undefined): Facts['own'] {
  const interfaces = Object.entries(networkInterfaces()).filter(([name]) => name !== device)
  // The loopback interface may have addresses that others send to.
  const addresses = interfaces
    .flatMap(([, all = []]) => all.map(({ address }) => address))
    .filter((it) => ipaddr.parse(it).range() !== 'loopback')
  return { addresses, interfaces: interfaces.map(([name]) => name).filter((it) => it !== 'lo') }
}

/** @returns undefined if there is no such process here, or this user may not see it */
function capabilitiesOf(pid: number | 'self' | undefined): Facts['capabilities'] {
  if (pid === undefined) return undefined
  try {
    const entries = Object.entries(CAPABILITIES).map(([name, number]) => [name, hasCapability(number, pid)])
    return Object.fromEntries(entries) as Record<Capability, boolean>
  } catch {
    return undefined
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function isPortTaken(port: number): boolean {
  const local = new RegExp(`^ *\\d+: [\\dA-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} `, 'm')
  return ['/proc/net/udp', '/proc/net/udp6'].some((path) => local.test(textOf(path)))
}

async function firewallFacts(): Promise<FirewallFacts> {
  const legacy = ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'].some((it) => textOf(it) !== '')
  const [printed, text] = await Promise.all([
    printedBy('nft', ['-j', 'list', 'ruleset']),
    printedBy('nft', ['-t', 'list', 'ruleset']),
  ])
  if ('why' in printed) return { ruleset: undefined, why: printed.why, legacy }
  try {
    const { nftables } = JSON.parse(printed.text)
    const shown = 'text' in text ? text.text : ''
    if (Array.isArray(nftables)) return { ruleset: withoutDormant(nftables, shown), why: null, legacy }
  } catch {
    // It is told below.
  }
  return { ruleset: undefined, why: 'nft has printed what is no JSON', legacy }
}

const IPV4 = '/proc/sys/net/ipv4/conf'

/** The kernel takes the greater one of an interface's own value and that of `all`. */
function reversePathFilters(device: string | undefined): Record<string, number> {
  const filterOf = (name: string) => Number.parseInt(textOf(`${IPV4}/${name}/rp_filter`), 10) || 0
  const names = Object.entries(networkInterfaces())
    .filter(([name, all]) => name !== device && all?.some((it) => it.family === 'IPv4' && !it.internal))
    .map(([name]) => name)
  return Object.fromEntries(names.map((name) => [name, Math.max(filterOf('all'), filterOf(name))]))
}

/** A counter of /proc/net/netstat, which has lines in pairs: names, and values. */
function netstat(counter: string): number {
  const lines = textOf('/proc/net/netstat').split('\n')
  const at = lines.findIndex((line) => line.split(' ').includes(counter))
  if (at < 0) return 0
  return Number(lines[at + 1]?.split(' ')[lines[at].split(' ').indexOf(counter)]) || 0
}

function conntrackFacts(): Facts['conntrack'] {
  const [count, max] = ['count', 'max'].map((it) => textOf(`/proc/sys/net/netfilter/nf_conntrack_${it}`))
  return count === '' || max === '' ? undefined : { count: Number(count), max: Number(max) }
}

/** The peers to which netfilter changes addresses or ports. */
function translatedPeers({ peers, source_ports }: StatusReport): string[] {
  using netlink = new Netlink()
  const conntrack = new Conntrack()
  try {
    return peers
      .filter((peer) => {
        const { address, port: far } = splitEndpoint(peer.endpoint ?? undefined)
        if (address === undefined || far === undefined) return false
        const source = peer.from ?? egressTo(netlink, address)?.source
        if (source === undefined) return false
        const bytes = (text: string) => Uint8Array.from(ipaddr.parse(text).toByteArray())
        const way = { source: bytes(source), destination: bytes(address), destinationPort: far }
        if (way.source.length !== way.destination.length) return false
        return source_ports.some((sourcePort) => conntrack.isTranslated({ ...way, sourcePort }))
      })
      .map(({ name }) => name)
  } catch (error) {
    if (error instanceof KernelError) return []
    throw error
  } finally {
    conntrack.close()
  }
}

/** The peers to which the way leads into the tunnel's own device. */
function loopedPeers({ device, netns, peers }: StatusReport): string[] {
  // An interface of this name is not the device then.
  if (netns !== null) return []
  using netlink = new Netlink()
  return peers
    .filter(({ endpoint }) => wayTo(netlink, endpoint)?.link.name === device)
    .map(({ name }) => name)
}

function wayTo(netlink: Netlink, endpoint: string | null) {
  const { address } = splitEndpoint(endpoint ?? undefined)
  return address === undefined ? undefined : egressTo(netlink, address)
}

/** They are written while the clock is right (systemd-timesyncd(8), fake-hwclock(8)). */
const CLOCK_FILES = ['/var/lib/systemd/timesync/clock', '/etc/fake-hwclock.data']

function modifiedMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}
