import { writeFileSync } from 'node:fs'
import { connect, Host } from '../../../src/lab/host.js'
import { ok } from './lab.js'
import { bridge } from './network.js'

/**
 * What is between a host and the internet:
 *
 * - `none`: nothing.
 * - `firewall`: it lets in only answers, and translates nothing.
 * - `keeping`: a NAT that keeps the port while that is free, and lets in only answers (nft's `masquerade`).
 * - `two-layers`: two of those, one behind the other.
 * - `random`: a NAT that takes another port for each pair of ends (`masquerade random`): a symmetric one.
 */
export const NATS = ['none', 'firewall', 'keeping', 'two-layers', 'random'] as const

export type Nat = (typeof NATS)[number]

/** Hosts at one place. All of them are behind the same NAT. */
export interface SiteChoices {
  readonly nat: Nat
  /** The UDP port of each host. */
  readonly ports: readonly number[]
  /** Whether the NAT sends back what its hosts send to its address outside. It needs a port of its own for each host. */
  readonly hairpin?: boolean
  /** How long the NAT keeps a mapping without a datagram; by default as long as Linux does. */
  readonly mappingSeconds?: number
}

const PUBLIC = '198.51.100'
const OUTER_LAN = '192.168.0'
const LAN = '192.168.1'

/** A network of hosts that see each other through NATs. Each router and each host is a network namespace. */
export class NatLab implements Disposable {
  /** A host that everybody reaches. */
  readonly hub: Host
  readonly hubAddress = `${PUBLIC}.1`
  /** The hosts of each site. */
  readonly sites: readonly (readonly Host[])[]
  readonly #all: Host[] = []
  readonly #uplinks: string[] = []
  readonly #internet: Host

  private constructor(sites: readonly SiteChoices[]) {
    this.#internet = this.#host('internet')
    this.hub = this.#host('hub')
    this.#attach(this.hub, this.hubAddress)
    this.sites = sites.map((site, index) => this.#build(site, index))
    bridge(this.#internet, ...this.#uplinks)
    // What is for a private address goes here, and ends here.
    this.#internet.configure('br0', [`${PUBLIC}.254/24`])
    for (const host of this.#all.filter(isRouter)) forward(host)
  }

  static async create(...sites: readonly SiteChoices[]): Promise<NatLab> {
    const lab = new NatLab(sites)
    try {
      for (const [index, site] of sites.entries()) await lab.#filter(site, index)
    } catch (error) {
      lab[Symbol.dispose]()
      throw error
    }
    return lab
  }

  #host(name: string): Host {
    const host = new Host(name)
    this.#all.push(host)
    return host
  }

  /** Gives a host an `eth0` in the internet. */
  #attach(host: Host, address: string): void {
    const device = `p${this.#uplinks.length}`
    this.#uplinks.push(device)
    const wire = { host: this.#internet, device, addresses: [] }
    connect(wire, { host, device: 'eth0', addresses: [`${address}/24`] })
    host.route('0.0.0.0/0', `${PUBLIC}.254`)
  }

  #build(site: SiteChoices, index: number): Host[] {
    const hosts = site.ports.map((_, which) => this.#host(`${'ab'[index]}${which}`))
    const address = outsideOf(index)
    if (site.nat === 'none' || site.nat === 'firewall') {
      this.#attach(hosts[0], address)
      return hosts
    }
    let router = this.#host(`router-${index}`)
    this.#attach(router, address)
    if (site.nat === 'two-layers') {
      const outer = router
      router = this.#host(`router-${index}-inner`)
      const inner = { host: router, device: 'eth0', addresses: [`${OUTER_LAN}.2/24`] }
      connect({ host: outer, device: 'lan0', addresses: [`${OUTER_LAN}.1/24`] }, inner)
      router.route('0.0.0.0/0', `${OUTER_LAN}.1`)
    }
    for (const [which, host] of hosts.entries()) {
      const wire = { host: router, device: `lan${which}`, addresses: [] }
      connect(wire, { host, device: 'eth0', addresses: [`${insideOf(index, which)}/24`] })
    }
    bridge(router, ...hosts.map((_, which) => `lan${which}`))
    router.configure('br0', [`${LAN}.1/24`])
    for (const host of hosts) host.route('0.0.0.0/0', `${LAN}.1`)
    return hosts
  }

  async #filter(site: SiteChoices, index: number): Promise<void> {
    const named = (name: string) => this.#all.filter((host) => host.name.startsWith(name))
    const routers = named(`router-${index}`)
    const guarded = site.nat === 'firewall' ? this.sites[index] : routers
    for (const host of guarded) await ok(host, 'nft', ANSWERS_ONLY)
    for (const router of routers) {
      await ok(router, 'nft', masquerade(site.nat === 'random'))
      if (site.mappingSeconds !== undefined) forgetAfter(router, site.mappingSeconds)
    }
    if (site.hairpin) await ok(routers[0], 'nft', hairpin(site, index))
  }

  [Symbol.dispose](): void {
    for (const host of this.#all) host.close()
  }
}

const outsideOf = (index: number) => `${PUBLIC}.${10 + index}`

/** All sites have the same private network, as in real life: what is an address here is nobody's elsewhere. */
const insideOf = (index: number, which: number) => `${LAN}.${10 + 10 * index + which}`

const isRouter = ({ name }: Host) => name.startsWith('router')

function forward(host: Host): void {
  host.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
}

/** Sets the conntrack time-outs of UDP, before and after an answer. */
function forgetAfter(router: Host, seconds: number): void {
  router.run(() => {
    for (const name of ['nf_conntrack_udp_timeout', 'nf_conntrack_udp_timeout_stream'])
      writeFileSync(`/proc/sys/net/netfilter/${name}`, `${seconds}`)
  })
}

/**
 * What begins outside is dropped. A router must also drop what is for itself: otherwise the kernel would remember it as a
 * flow, and what its hosts send to there later would get another port.
 */
const ANSWERS_ONLY = `table ip firewall {
  chain input {
    type filter hook input priority filter
    iifname "eth0" ct state new,invalid drop
  }
  chain forward {
    type filter hook forward priority filter
    iifname "eth0" ct state new,invalid drop
  }
}
`

const masquerade = (random: boolean) => `table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "eth0" masquerade ${random ? 'random' : ''}
  }
}
`

/** RFC 4787, section 6: what a host sends to a port outside goes to the host that has it, as if from outside. */
function hairpin(site: SiteChoices, index: number): string {
  const outside = outsideOf(index)
  const rules = site.ports.map(
    (port, which) =>
      `ip saddr ${LAN}.0/24 ip daddr ${outside} udp dport ${port} dnat to ${insideOf(index, which)}:${port}`,
  )
  return `table ip hairpin {
  chain prerouting {
    type nat hook prerouting priority dstnat
    ${rules.join('\n    ')}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname != "eth0" ip saddr ${LAN}.0/24 ct status dnat snat to ${outside}
  }
}
`
}
