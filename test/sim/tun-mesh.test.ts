/** Mode tun with random networks, against a model that looks at each network in turn. */
import ipaddr from 'ipaddr.js'
import type { SimHost } from './host.js'
import type { SimRandom } from './random.js'
import { type SimWorld, simTest } from './world.js'

const HOSTS = 6
const NETWORKS_OF_EACH = 6
const ROUNDS = 5
const PACKETS_A_ROUND = 400
/** Around the bits in which the addresses differ. */
const LENGTHS = { ipv4: [15, 16, 17, 18, 26, 29, 32], ipv6: [31, 32, 49, 50, 104, 122, 128] } as const

type Network = [address: ipaddr.IPv4 | ipaddr.IPv6, prefixLength: number]

/** Addresses share their first bits, so that networks often lie inside each other. */
function randomAddress(random: SimRandom): ipaddr.IPv4 | ipaddr.IPv6 {
  const bits = (count: number) => random.between(0, 2 ** count)
  if (random.happens(0.5)) return ipaddr.fromByteArray([10, 64 + bits(2), bits(2) << 6, bits(8)])
  const bytes = [0xfd, 0x64, 0, bits(2), 0, 0, bits(2) << 6, 0, 0, 0, 0, 0, bits(2), 0, 0, bits(8)]
  return ipaddr.fromByteArray(bytes)
}

/** Networks for all hosts, none of them twice. */
function randomNetworks(world: SimWorld, hosts: readonly SimHost[]): Map<SimHost, Network[]> {
  const { random } = world
  const taken = new Set<string>()
  const all = new Map(hosts.map((host) => [host, [] as Network[]]))
  while (taken.size < HOSTS * NETWORKS_OF_EACH) {
    const address = randomAddress(random)
    const prefixLength = random.pick<number>(LENGTHS[address.kind()])
    const [base] = ipaddr.parseCIDR(`${address}/${prefixLength}`)
    const bytes = base
      .toByteArray()
      .map((byte, at) => byte & ~(0xff >> Math.min(8, Math.max(0, prefixLength - 8 * at))))
    const network = `${ipaddr.fromByteArray(bytes)}/${prefixLength}`
    if (taken.has(network)) continue
    taken.add(network)
    all.get(random.pick(hosts))?.push(ipaddr.parseCIDR(network))
  }
  return all
}

/** Whom a host takes an address for: of all others, the one with the longest network that has it. */
function ownerOf(
  networks: ReadonlyMap<SimHost, Network[]>,
  looks: SimHost,
  address: string,
): SimHost | undefined {
  const wanted = ipaddr.parse(address)
  let found: SimHost | undefined
  let longest = -1
  for (const [host, own] of networks) {
    if (host === looks) continue
    for (const [base, length] of own) {
      if (base.kind() !== wanted.kind() || length <= longest || !wanted.match(base, length)) continue
      found = host
      longest = length
    }
  }
  return found
}

/** What has come to a host, and what it has dropped. */
const soFar = (host: SimHost) => ({
  texts: [...host.texts].sort(),
  noRoute: host.count('dropNoRoute'),
  notAllowed: host.count('dropNotAllowed'),
})

/** Sends a packet from and to random addresses, by the way that the model expects. */
function sendOne(
  { random }: SimWorld,
  networks: ReadonlyMap<SimHost, Network[]>,
  text: string,
): { sender: SimHost; receiver: SimHost | undefined; allowed: boolean } {
  const sender = random.pick([...networks.keys()])
  const to = randomAddress(random)
  const receiver = ownerOf(networks, sender, `${to}`)
  let from = randomAddress(random)
  const allowed = () => receiver !== undefined && ownerOf(networks, receiver, `${from}`) === sender
  // Some times in a row, so that about as many are let in as are not.
  for (let tries = 0; from.kind() !== to.kind() || (tries < 4 && !allowed()); tries++)
    from = randomAddress(random)
  sender.send(`${to}`, text, { from: `${from}` })
  return { sender, receiver, allowed: allowed() }
}

for (const secret of [true, false]) {
  const kind = secret ? 'private' : 'plain'
  simTest(
    `${kind}: with random networks each packet goes where it belongs, and nowhere else`,
    async (t, world) => {
      const hosts = Array.from({ length: HOSTS }, (_, index) =>
        world.host(`h${index}`, { secret, mode: 'tun' }),
      )
      let networks = randomNetworks(world, hosts)
      const settings = (host: SimHost) => ({
        peers: hosts
          .filter((it) => it !== host)
          .map((it) => it.asPeer({ addresses: [], prefixes: networks.get(it)?.map((own) => own.join('/')) })),
      })
      await world.run(Promise.all(hosts.map((host) => host.begin(settings(host)))))
      await world.pass(5_000)
      const seen = { arrived: 0, noRoute: 0, notAllowed: 0 }
      for (let round = 0; round < ROUNDS; round++) {
        const wanted = hosts.map(soFar)
        const wantedOf = (host: SimHost) => wanted[hosts.indexOf(host)]
        for (let number = 0; number < PACKETS_A_ROUND; number++) {
          const text = `${round} ${number}`
          const { sender, receiver, allowed } = sendOne(world, networks, text)
          if (receiver === undefined) wantedOf(sender).noRoute++
          else if (allowed) wantedOf(receiver).texts.push(text)
          else wantedOf(receiver).notAllowed++
          seen[receiver === undefined ? 'noRoute' : allowed ? 'arrived' : 'notAllowed']++
        }
        await world.pass(100)
        for (const { texts } of wanted) texts.sort()
        t.same(hosts.map(soFar), wanted, `round ${round}`)
        networks = randomNetworks(world, hosts)
        for (const host of hosts) await host.reload(settings(host))
      }
      for (const [what, count] of Object.entries(seen)) t.ok(count > 20, `${count} ${what}`)
    },
  )
}
