/** Two real hosts behind one NAT of nft(8), and a hub outside: they meet on their LAN. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { connect, Host } from '../../../src/lab/host.js'
import { removeStatusSockets } from '../../../src/lab/two-hosts.js'
import { ok, type RunningTunnel, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { bridge } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

const HUB = '203.0.113.1'
const OUTER = '203.0.113.2'

/** A hub, a router with an outer address, and two hosts on one LAN behind it. */
class Lab implements Disposable {
  readonly hub = new Host('hub')
  readonly router = new Host('router')
  readonly lan = new Host('lan')
  readonly inner = [new Host('a'), new Host('b')]

  constructor() {
    const { hub, router, lan, inner } = this
    connect(
      { host: hub, device: 'eth0', addresses: [`${HUB}/24`] },
      { host: router, device: 'outer', addresses: [`${OUTER}/24`] },
    )
    connect(
      { host: router, device: 'inner', addresses: ['10.0.0.1/24'] },
      { host: lan, device: 'router', addresses: [] },
    )
    for (const [index, host] of inner.entries()) {
      const end = { host, device: 'eth0', addresses: [`10.0.0.${index + 2}/24`] }
      connect({ host: lan, device: `p${index}`, addresses: [] }, end)
      host.route('0.0.0.0/0', '10.0.0.1')
    }
    bridge(lan, 'router', 'p0', 'p1')
    router.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
  }

  get all(): readonly Host[] {
    return [this.hub, this.router, this.lan, ...this.inner]
  }

  async translate(): Promise<void> {
    const nft = (...words: string[]) => ok(this.router, 'nft', ...words)
    await nft('add', 'table', 'ip', 'nat')
    await nft('add chain ip nat postrouting { type nat hook postrouting priority 100; }')
    await nft('add rule ip nat postrouting oifname outer masquerade')
  }

  [Symbol.dispose](): void {
    for (const host of this.all) {
      removeStatusSockets(host)
      host.close()
    }
  }
}

const overlay = (index: number) => `10.9.0.${index + 1}`

/** Starts the hub and both members, in mode tun. */
async function start({ hub, inner }: Lab, keys: KeyFolder) {
  const pairs = ['hub', 'a', 'b'].map((name) => keys.make(name))
  const file = (index: number, ...lines: readonly string[]) =>
    keys.write(
      `h${index}.yaml`,
      [`mode: tun`, `local: [${overlay(index)}/24]`, `private_key_file: ${pairs[index].file}`, ...lines].join(
        '\n',
      ),
    )
  const members = [1, 2].map(
    (index) =>
      `  - {name: ${'hab'[index]}, public_key: "${pairs[index].publicKey}", addresses: [${overlay(index)}]}`,
  )
  const peer = `  - {name: hub, endpoint: ${HUB}, public_key: "${pairs[0].publicKey}", addresses: [${overlay(0)}], introducer: true}`
  const hubTunnel = await startTunnel(hub, '--config', file(0, 'introduce: true', 'peers:', ...members))
  const tunnels = await Promise.all(
    inner.map((host, index) => startTunnel(host, '--config', file(index + 1, 'peers:', peer))),
  )
  return { hub: hubTunnel, tunnels }
}

async function endpointOf(tunnel: RunningTunnel, name: string): Promise<string | null | undefined> {
  const { peers } = await tunnel.status('tun0')
  return peers.find((it) => it.name === name)?.endpoint
}

t.test('two hosts behind one NAT meet on their LAN, follow a new address, and lose nothing', async (t) => {
  using keys = new KeyFolder()
  using lab = new Lab()
  await lab.translate()
  const startedMs = performance.now()
  const { hub, tunnels } = await start(lab, keys)
  const [a, b] = tunnels
  const isOnLan = async () =>
    (await endpointOf(a, 'b'))?.startsWith('10.0.0.3:') === true &&
    (await endpointOf(b, 'a'))?.startsWith('10.0.0.2:') === true
  await until('both are on their LAN', isOnLan, 15_000)
  t.comment(`on the LAN ${Math.round(performance.now() - startedMs)} ms after the start of the hub`)
  t.match(await endpointOf(hub, 'a'), new RegExp(`^${OUTER}:`), 'the hub sees them behind the NAT')
  await untilPing(lab.inner[0], overlay(2))
  t.match(await ok(lab.inner[0], 'ping', '-q', '-c', '200', '-i', '0.01', overlay(2)), / 200 received/)

  await ok(lab.inner[1], 'ip', 'address', 'del', '10.0.0.3/24', 'dev', 'eth0')
  await ok(lab.inner[1], 'ip', 'address', 'add', '10.0.0.33/24', 'dev', 'eth0')
  await ok(lab.inner[1], 'ip', 'route', 'replace', 'default', 'via', '10.0.0.1')
  const changedMs = performance.now()
  await until(
    'it is found there',
    async () => (await endpointOf(a, 'b'))?.startsWith('10.0.0.33:') === true,
    20_000,
  )
  const ms = performance.now() - changedMs
  t.comment(`found at the new address after ${Math.round(ms)} ms`)
  await untilPing(lab.inner[0], overlay(2))
  for (const tunnel of [hub, ...tunnels]) {
    const { drops, faults } = await tunnel.status('tun0')
    t.equal(drops.control_malformed, 0)
    t.equal(faults.count, 0)
  }
  await Promise.all([hub, ...tunnels].map((it) => it.stop()))
})
