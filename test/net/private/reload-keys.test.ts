/** What a reload leaves as it was of a peer that is known by its key. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { FarEnd } from '../../support/hosts/far-end.js'
import { IN_VAIN, pings, twoHosts, until } from '../../support/hosts/lab.js'
import { endpointOf, PORT, startWithEnd, type WithEnd } from '../../support/hosts/wireguard-end.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 3

const INITIATION_MS = 5_100

const WAYS: Readonly<Record<string, (it: WithEnd) => Promise<void>>> = {
  'is set to something else': ({ reload, b }) => reload([...b, 'persistent_keepalive: 25']),
  'is removed, and comes back': async ({ reload, b, c }) => {
    await reload(c)
    await reload(b)
  },
}

for (const [what, change] of Object.entries(WAYS))
  t.test(`no old initiation is taken from a peer that ${what}`, async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const it = await startWithEnd(pair, keys)
    using far = it.far
    await sleep(INITIATION_MS)
    far.initiate()
    await until('there was another', () => far.verdicts.length === 2)
    const [old, last] = far.sent
    await change(it)
    const before = await endpointOf(it.near)
    using replayer = new FarEnd(pair.b, 6666)
    for (const message of [old, last]) {
      const { handshake_refused } = (await it.near.status('tun0')).drops
      far.send(message, replayer)
      await until('it is refused', async () => {
        const { drops } = await it.near.status('tun0')
        return drops.handshake_refused > handshake_refused
      })
    }
    t.equal(await endpointOf(it.near), before)
    t.same(replayer.received, [], 'and not answered')
    await it.near.stop()
  })

t.test('keys, traffic and place stay when a peer is set to something else', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { near, far, reload, b } = await startWithEnd(pair, keys, 'persistent_keepalive: 3600')
  using _ = far
  const [before] = (await near.status('tun0')).peers
  await reload([...b, 'persistent_keepalive: 1', 'prefixes: [10.9.4.0/24]'])
  const [after] = (await near.status('tun0')).peers
  t.equal(after.endpoint, `${pair.underlay.b}:${PORT}`)
  t.equal(after.path_mtu?.bytes, before.path_mtu?.bytes)
  t.equal(after.privacy?.persistent_keepalive_s, 1)
  const opened = far.opened.length
  await until('it keeps alive', () => far.opened.length >= opened + 3)
  await pings(pair.a, '10.9.4.7', ...IN_VAIN)
  const toNetwork = (packet: Buffer) => packet.subarray(16, 20).equals(Buffer.from([10, 9, 4, 7]))
  await until('it goes there', () => far.opened.some(toNetwork))
  t.equal(far.sent.length, 1, 'one handshake was enough for all')
  t.same(far.came.length, 1)

  t.comment('after another preshared key they stay, and others are asked for')
  await reload([...b, 'persistent_keepalive: 1', `preshared_key_file: ${keys.preshared('p')}`])
  await until('others are asked for', () => far.came.length > 1, 10_000)
  const { privacy } = (await near.status('tun0')).peers[0]
  t.match(privacy, { preshared_key: true })
  t.ok((privacy?.handshake_s ?? 0) > 0)
  const then = far.opened.length
  await until('it keeps alive', () => far.opened.length >= then + 2)
  await near.stop()
})
