/** Where a peer may be, and what it costs when it is somewhere else each time it is heard. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { FarEnd } from '../../support/hosts/far-end.js'
import { ipv4 } from '../../support/hosts/frames.js'
import { IN_VAIN, ok, PROGRAM, pings, run, twoHosts, until } from '../../support/hosts/lab.js'
import { endpointOf, PORT, startWithEnd } from '../../support/hosts/wireguard-end.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

// Most of what is here is waiting.
t.jobs = 3

const IPPROTO_UDP = 17
/** A line's level in the log. */
const WARN = 40

/** A datagram inside the tunnel, from an overlay address to where the tunnel itself listens. */
function inside(payload: Uint8Array): Buffer {
  const datagram = Buffer.alloc(8 + payload.length)
  datagram.writeUInt16BE(7000, 0)
  datagram.writeUInt16BE(PORT, 2)
  datagram.writeUInt16BE(datagram.length, 4)
  datagram.set(payload, 8)
  const packet = ipv4(IPPROTO_UDP, datagram)
  packet.set([10, 9, 0, 2, 10, 9, 0, 1], 12)
  packet.writeUInt16BE(0, 10)
  packet.writeUInt16BE(internetChecksum(packet, 0, 20), 10)
  return packet
}

t.test('a keepalive that was sent inside the tunnel does not make the device its own underlay', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { near, far } = await startWithEnd(pair, keys)
  using _ = far
  const { mtu_bytes: mtuBytes } = await near.status('tun0')
  const attack = () => far.say(inside(far.seal(new Uint8Array(0)) as Buffer))
  attack()
  await sleep(3_500)
  const { peers, mtu_bytes } = await near.status('tun0')
  t.equal(peers[0].endpoint, `${pair.underlay.b}:${PORT}`)
  t.equal(peers[0].underlay?.interface, 'eth0')
  t.equal(mtu_bytes, mtuBytes, 'which would fall every second')
  for (let times = 0; times < 10; times++) {
    attack()
    await sleep(50)
  }
  const said = near.log.filter(({ level }) => level === WARN)
  t.equal(said.length, 1, 'said once')
  t.match(said[0]?.msg, /b was heard from 10\.9\.0\.2:7000, which is reached by tun0, this tunnel itself/)
  await near.stop()
})

t.test('a handshake from inside the tunnel is not answered, and counted', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { near, far } = await startWithEnd(pair, keys)
  using _ = far
  await sleep(5_100)
  const before = far.sent.length
  // The message itself is lost on the way; what is inside the tunnel is not.
  far.loses = true
  far.initiate()
  far.loses = false
  await until('it has been made', () => far.sent.length > before)
  far.say(inside(far.sent[before]))
  await until('it is counted', async () => (await near.status('tun0')).drops.handshake_misplaced === 1)
  t.equal(await endpointOf(near), `${pair.underlay.b}:${PORT}`)
  far.send(far.sent[before])
  await until('the same from the right place is taken', () => far.verdicts.at(-1) === 'accepted')
  await near.stop()
})

t.test(
  'a source port that changes all the time is followed, and costs neither lines nor probes',
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const { near, far } = await startWithEnd(pair, keys)
    using _ = far
    await until(
      'the path is known',
      async () => {
        const { path_mtu } = (await near.status('tun0')).peers[0]
        return path_mtu !== null && path_mtu.state !== 'searching' && path_mtu.state !== 'tracing'
      },
      15_000,
    )
    const lines = near.log.length
    const doors = Array.from({ length: 50 }, (_, index) => new FarEnd(pair.b, 6000 + index))
    for (let turn = 0; turn < 2_000; turn++) {
      far.keepalive(doors[turn % doors.length])
      if (turn % 4 === 0) await sleep(4)
    }
    far.keepalive(doors[7])
    await until('the last one is followed', async () => {
      far.keepalive(doors[7])
      return (await endpointOf(near)) === `${pair.underlay.b}:6007`
    })
    const datagrams = doors.reduce((sum, { received }) => sum + received.length, 0)
    t.comment(`${near.log.length - lines} lines, ${datagrams} datagrams`)
    t.ok(near.log.length - lines <= 2, `${near.log.length - lines} lines`)
    t.ok(datagrams <= 20, `${datagrams} datagrams`)
    for (const door of doors) door[Symbol.dispose]()
    await near.stop()
  },
)

t.test(
  'a route that takes the peer into the tunnel is told of, and does not bring the MTU down',
  async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const { near, far } = await startWithEnd(pair, keys)
    using _ = far
    const { mtu_bytes: mtuBytes } = await near.status('tun0')
    await ok(pair.a, 'ip', 'route', 'add', `${pair.underlay.b}/32`, 'dev', 'tun0')
    await near.said(/the route to 192\.0\.2\.2 is by tun0, this tunnel itself/)
    await sleep(2_500)
    t.equal((await near.status('tun0')).mtu_bytes, mtuBytes)
    await ok(pair.a, 'ip', 'route', 'del', `${pair.underlay.b}/32`, 'dev', 'tun0')
    await near.said(/the route to 192\.0\.2\.2 is by eth0/)
    const opened = far.opened.length
    await until('it carries on', async () => {
      far.keepalive()
      await ok(pair.a, 'ping', '-c', '1', '-W', '0.1', '10.9.0.2').catch(() => {})
      return far.opened.length > opened
    })
    await near.stop()
  },
)

t.test('that a peer with a key is somewhere keeps no other from being there', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const { near, far, reload, b, c } = await startWithEnd(pair, keys)
  using _ = far
  const place = `${pair.underlay.b}:${PORT}`
  await reload(b, [...c, `endpoint: ${place}`])
  await until('both are there', async () => {
    const { peers } = await near.status('tun0')
    return peers.length === 2 && peers.every(({ endpoint }) => endpoint === place)
  })
  await until('the other is spoken to', () => far.verdicts.includes('not authentic'))
  const opened = far.opened.length
  await pings(pair.a, '10.9.0.2', ...IN_VAIN)
  await until('and the first as before', () => far.opened.length > opened)
  t.equal(near.log.filter(({ level }) => level === WARN).length, 0)
  await near.stop()
})

t.test('an endpoint that no peer can have is told at the start', async (t) => {
  using pair = twoHosts()
  for (const [remote, why] of [
    [pair.underlay.a, /192\.0\.2\.1:5149, which is where this tunnel itself listens/],
    ['192.0.2.255', /which is a broadcast address/],
  ] as const) {
    const { code, stderr, stdout } = await run(pair.a, process.execPath, [
      PROGRAM,
      'start',
      '10.9.0.1',
      remote,
    ])
    t.equal(code, 1)
    t.match(stderr + stdout, why)
  }
})
