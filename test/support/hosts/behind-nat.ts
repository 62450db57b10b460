import { rmSync, writeFileSync } from 'node:fs'
import { connect, Host } from '../../../src/lab/host.js'
import { Program } from '../../../src/lab/program.js'
import { ok, type RunningTunnel, startTunnel } from './lab.js'
import { bridge } from './network.js'
import type { KeyFolder } from './wireguard-go.js'

/** A hub, a router with an outer address, and two hosts on one LAN behind it. */
export class BehindNat implements Disposable {
  readonly hub = new Host('hub')
  readonly router = new Host('router')
  readonly inner = [new Host('a'), new Host('b')]
  readonly #lan = new Host('lan')
  /** miniupnpd takes only addresses that the whole Internet could use for outer ones. All of it stays in namespaces. */
  readonly hubAddress = '5.5.5.1'
  readonly outer = '5.5.5.2'

  constructor() {
    const { hub, router, inner } = this
    connect(
      { host: hub, device: 'eth0', addresses: [`${this.hubAddress}/24`] },
      { host: router, device: 'outer', addresses: [`${this.outer}/24`] },
    )
    connect(
      { host: router, device: 'inner', addresses: ['10.0.0.1/24'] },
      { host: this.#lan, device: 'router', addresses: [] },
    )
    for (const [index, host] of inner.entries()) {
      const end = { host, device: 'eth0', addresses: [`10.0.0.${index + 2}/24`] }
      connect({ host: this.#lan, device: `p${index}`, addresses: [] }, end)
      host.route('0.0.0.0/0', '10.0.0.1')
    }
    bridge(this.#lan, 'router', 'p0', 'p1')
    router.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
  }

  nft(...words: string[]): Promise<string> {
    return ok(this.router, 'nft', ...words)
  }

  /** Makes the router translate what leaves. */
  async masquerade(): Promise<void> {
    await this.nft('add', 'table', 'ip', 'nat')
    await this.nft('add chain ip nat postrouting { type nat hook postrouting priority 100; }')
    await this.nft('add rule ip nat postrouting oifname outer masquerade')
  }

  /** Starts miniupnpd on the router: PCP and NAT-PMP. @param folder for its files */
  async startPortMapper(folder: KeyFolder): Promise<Program> {
    const chains = ['prerouting', 'postrouting'].map((it) => `chain ${it}_miniupnpd {}`)
    const hooks = [
      'chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }',
      'chain postrouting { type nat hook postrouting priority 90; jump postrouting_miniupnpd; }',
    ]
    await this.nft(`table inet filter { chain miniupnpd {}; ${[...chains, ...hooks].join('; ')}; }`)
    const lines = [
      'ext_ifname=outer',
      'listening_ip=inner',
      'enable_natpmp=yes',
      'enable_upnp=no',
      'secure_mode=yes',
      'upnp_table_name=filter',
      'upnp_nat_table_name=filter',
      'upnp_forward_chain=miniupnpd',
      'upnp_nat_chain=prerouting_miniupnpd',
      'upnp_nat_postrouting_chain=postrouting_miniupnpd',
      'allow 1-65535 10.0.0.0/24 1-65535',
    ]
    const file = folder.write('miniupnpd.conf', `${lines.join('\n')}\n`)
    const pid = `${file}.pid`
    const program = new Program(this.router, '/usr/sbin/miniupnpd', ['-d', '-f', file, '-P', pid])
    void program.ended.then(() => rmSync(pid, { force: true }))
    return program
  }

  /** Starts the hub and both members, in mode tun. @param more lines of the members' settings */
  async start(keys: KeyFolder, ...more: readonly string[]) {
    const pairs = ['hub', 'a', 'b'].map((name) => keys.make(name))
    const file = (index: number, ...lines: readonly string[]) =>
      keys.write(
        `h${index}.yaml`,
        [
          'mode: tun',
          `local: [${overlay(index)}/24]`,
          `private_key_file: ${pairs[index].file}`,
          ...lines,
        ].join('\n'),
      )
    const members = [1, 2].map(
      (index) =>
        `  - {name: ${'hab'[index]}, public_key: "${pairs[index].publicKey}", addresses: [${overlay(index)}]}`,
    )
    const peer = `  - {name: hub, endpoint: ${this.hubAddress}, public_key: "${pairs[0].publicKey}", addresses: [${overlay(0)}], introducer: true}`
    const hub = await startTunnel(this.hub, '--config', file(0, 'introduce: true', 'peers:', ...members))
    const [a, b] = await Promise.all(
      this.inner.map((host, index) =>
        startTunnel(host, '--config', file(index + 1, ...more, 'peers:', peer)),
      ),
    )
    return { hub, a, b }
  }

  [Symbol.dispose](): void {
    for (const host of [this.hub, this.router, this.#lan, ...this.inner]) host.close()
  }
}

/** The overlay address of the hub (0) or a member. */
export const overlay = (index: number) => `10.9.0.${index + 1}`

export async function endpointOf(tunnel: RunningTunnel, name: string): Promise<string | null | undefined> {
  const { peers } = await tunnel.status('tun0')
  return peers.find((it) => it.name === name)?.endpoint
}
