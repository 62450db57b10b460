/** Real hosts that find each other by a real etcd. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseKey } from '../../../src/key-text.js'
import { Etcd } from '../../support/hosts/etcd.js'
import { type RunningTunnel, startTunnel, until, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { SignedNetwork } from '../../support/signed-network.js'

const KEYS = '/udptun-fast/default/'

t.test('three hosts and an etcd: they find each other, also while it is away', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(4)
  await using etcd = await Etcd.start(network.hosts[3], network.underlay(3))
  const signed = new SignedNetwork(randomBytes(32))
  const pairs = [0, 1, 2].map((index) => keys.make(`m${index}`))
  const lineOf = (name: string, publicKey: string, address: string) =>
    signed.line({ name, publicKey: parseKey(publicKey) ?? Buffer.of(), addresses: [address] })
  const start = (index: number) =>
    startTunnel(
      network.hosts[index],
      '--config',
      keys.write(
        `m${index}.yaml`,
        [
          'mode: tun',
          `local: [${network.overlay(index)}/24]`,
          `private_key_file: ${pairs[index].file}`,
          `network_key: "${signed.text}"`,
          `record: "${lineOf(`m${index}`, pairs[index].publicKey, network.overlay(index))}"`,
          `discovery: {etcd: {endpoints: ["${etcd.url}"], grace: 1, ttl: 5}}`,
        ].join('\n'),
      ),
    )
  const peers = async (tunnel: RunningTunnel) => (await tunnel.status('tun0')).peers
  const refused = async (tunnel: RunningTunnel) => (await tunnel.status('tun0')).drops.introduction_refused

  const [m0, m1] = await Promise.all([start(0), start(1)])
  await untilPing(network.hosts[0], network.overlay(1))
  let m2 = await start(2)
  const startedMs = performance.now()
  await untilPing(network.hosts[2], network.overlay(0))
  await untilPing(network.hosts[2], network.overlay(1))
  t.comment(`the third is reached by both ${Math.round(performance.now() - startedMs)} ms after its start`)
  t.match(
    (await peers(m0)).map(({ introduced_by }) => introduced_by),
    ['the etcd store', 'the etcd store'],
  )
  t.same(
    await etcd.keys(KEYS),
    ['m0', 'm1', 'm2'].map((it) => KEYS + it),
  )

  t.comment('somebody who can write there, but has no record')
  const forged = new SignedNetwork(randomBytes(32))
  const evil = keys.make('evil')
  const value = (name: string, by: SignedNetwork) =>
    JSON.stringify({
      version: 1,
      record: by.line({ name, publicKey: parseKey(evil.publicKey) ?? Buffer.of(), addresses: ['10.9.0.77'] }),
      endpoints: [],
    })
  await etcd.ctl('put', `${KEYS}evil`, value('evil', forged))
  await m0.said(/the etcd store introduces evil .* that the network key has not signed/)
  await etcd.ctl('put', `${KEYS}odd`, '{"version": 1')
  await m0.said(/the key of "odd" in the etcd store has a value that is not one of a member/)
  await etcd.ctl('put', `${KEYS}other`, value('evil', signed))
  await m0.said(/the key of "other" in the etcd store has the signed record of "evil"/)
  t.ok((await refused(m0)) >= 3)
  t.equal((await peers(m0)).length, 2)

  t.comment('a member comes and goes')
  const lease = / lease (\w+) /.exec(` ${(await etcd.ctl('lease', 'grant', '60')).trim()} `)?.[1] ?? ''
  await etcd.ctl('put', '--lease', lease, `${KEYS}evil`, value('evil', signed))
  await until('it is known', async () => (await peers(m0)).length === 3)
  await etcd.ctl('lease', 'revoke', lease)
  await until('it is gone after the grace time', async () => (await peers(m0)).length === 2)

  t.comment('etcd is away')
  await etcd.stop()
  await m0.said(/etcd is away: http/)
  await m2.stop()
  m2 = await start(2)
  await untilPing(network.hosts[2], network.overlay(0))
  await untilPing(network.hosts[1], network.overlay(2))
  t.equal((await peers(m0)).length, 2)
  await etcd.start()
  const known = () => m0.log.filter(({ msg }) => /etcd is in touch/.test(String(msg))).length
  await until('etcd is in touch again', () => known() === 2)
  await until('all keys are there again', async () => (await etcd.keys(KEYS)).length === 5)

  t.comment('only one host is parted from etcd, and what it has missed is compacted away')
  await network.cut(0, 3)
  await until('it has lost its lease', async () => (await etcd.keys(KEYS)).length === 4)
  await untilPing(network.hosts[1], network.overlay(0))
  await etcd.ctl('del', `${KEYS}odd`)
  await etcd.ctl('put', `${KEYS}evil`, value('evil', signed))
  const { revision } = JSON.parse(await etcd.ctl('get', '-w', 'json', KEYS)).header
  await etcd.ctl('compaction', String(revision))
  t.ok(
    (await peers(m1)).some(({ name }) => name === 'm0'),
    'there is a session with it, so it stays',
  )
  await network.cut(0, 3, false)
  await until('it has read anew', async () => (await peers(m0)).some(({ name }) => name === 'evil'))
  await until('its key is back', async () => (await etcd.keys(KEYS)).includes(`${KEYS}m0`))

  await m2.stop()
  t.notOk((await etcd.keys(KEYS)).includes(`${KEYS}m2`), 'who ends gives its lease back')
  await Promise.all([m0, m1].map((it) => it.stop()))
  for (const { log } of [m0, m1, m2]) t.notOk(log.some(({ msg }) => /a fault in/.test(String(msg))))
})
