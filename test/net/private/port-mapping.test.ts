/** A router with miniupnpd: it lets in what is for a member, by PCP and by NAT-PMP. */
import t from 'tap'
import { BehindNat } from '../../support/hosts/behind-nat.js'
import { ok, until } from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

for (const by of ['pcp', 'nat-pmp'] as const)
  t.test(`a port is mapped, told, used and removed: ${by}`, async (t) => {
    using keys = new KeyFolder()
    using lab = new BehindNat()
    await lab.masquerade()
    if (by === 'nat-pmp') {
      await lab.nft('add', 'table', 'ip', 'old')
      await lab.nft('add chain ip old input { type filter hook input priority 0; }')
      await lab.nft('add rule ip old input udp dport 5351 @th,64,8 2 counter drop')
    }
    const mapper = await lab.startPortMapper(keys)
    const startedMs = performance.now()
    const { hub, a, b } = await lab.start(keys, 'port_mapping: true')
    const mapping = async () => (await a.status('tun0')).port_mapping
    await until('the router has mapped a port', async () => (await mapping())?.external != null, 40_000)
    t.comment(`mapped ${Math.round(performance.now() - startedMs)} ms after the start of the hub`)
    const { external, by: used, gateway } = (await mapping()) ?? {}
    t.match({ used, gateway }, { used: by, gateway: '10.0.0.1' })
    t.ok(external?.startsWith(`${lab.outer}:`), `${external}`)
    await a.said(/the router 10\.0\.0\.1 lets in what is for 5\.5\.5\.2:/)

    const strangers = async () => (await a.status('tun0')).drops.not_private
    const before = await strangers()
    const port = external?.split(':')[1]
    await until('what a stranger sends there comes in', async () => {
      await ok(
        lab.hub,
        'sh',
        '-c',
        `echo not a message of anybody | socat - UDP:${lab.outer}:${port},sp=4321`,
      )
      return (await strangers()) > before
    })
    t.match(await lab.nft('list', 'ruleset'), /10\.0\.0\.2/)
    await a.stop()
    await until('the mapping is gone', async () => !/10\.0\.0\.2/.test(await lab.nft('list', 'ruleset')))
    t.match(await lab.nft('list', 'ruleset'), /10\.0\.0\.3/, "the other member's stays")
    await Promise.all([hub, b].map((it) => it.stop()))
    await mapper.stop()
  })

t.test('a router that knows neither is no more than a line in the log', async (t) => {
  using keys = new KeyFolder()
  using lab = new BehindNat()
  await lab.masquerade()
  const { hub, a, b } = await lab.start(keys, 'port_mapping: true')
  const { msg } = await a.said(/there is no mapping of the port/, 60_000)
  t.match(msg, /because the router 10\.0\.0\.1 does not answer; carrying on without/)
  t.match((await a.status('tun0')).port_mapping, { external: null, trouble: /does not answer/ })
  await Promise.all([hub, a, b].map((it) => it.stop()))
})
