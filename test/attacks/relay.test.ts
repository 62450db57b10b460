/** What somebody on the way, a stranger and a member without a right to it try with an introducer's relay. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { RELAY_HEADER_BYTES } from '../../src/wire/relay.js'
import { MESSAGE } from '../../src/wire/wireguard.js'
import { sendDatagrams } from '../support/hosts/datagrams.js'
import { ok, untilPing } from '../support/hosts/lab.js'
import { part, startMembers } from '../support/hosts/members.js'
import { Network } from '../support/hosts/network.js'
import { KeyFolder } from '../support/hosts/wireguard-go.js'

const PORT = 5149
/** Ethernet, IPv4 and UDP. */
const HEADERS_BYTES = 42

t.test(
  'what is repeated, altered or made up is relayed to nobody, and costs a relayed pair nothing',
  async (t) => {
    using keys = new KeyFolder()
    using network = new Network(4)
    const [, a, , stranger] = network.hosts
    await part(network, 1, 2)
    // The fourth host is no member.
    const some = {
      hosts: network.hosts.slice(0, 3),
      underlay: (index: number) => network.underlay(index),
      overlay: (index: number) => network.overlay(index),
    }
    const { hub, members, introduced, stop } = await startMembers(some, keys)
    await untilPing(a, network.overlay(2))
    const wire = network.socket(0, 'eth0')
    wire.flush()
    await ok(a, 'ping', '-c', '20', '-i', '0.02', network.overlay(2))
    const isRelayed = ({ bytes }: { bytes: Buffer }) =>
      bytes.length > HEADERS_BYTES + RELAY_HEADER_BYTES && bytes.readUInt32LE(HEADERS_BYTES) === MESSAGE.relay
    const seen = await wire.capture(Number.POSITIVE_INFINITY, isRelayed, 500)
    const captured = (outgoing: boolean) =>
      seen
        .filter((it) => it.outgoing === outgoing && it.bytes.length < 300)
        .slice(0, 30)
        .map(({ bytes }) => bytes.subarray(HEADERS_BYTES))
    const [toHub, fromHub] = [captured(false), captured(true)]
    t.ok(toHub.length >= 20 && fromHub.length >= 20, `${toHub.length} and ${fromHub.length} were captured`)

    const altered = toHub.flatMap((message) => {
      const header = Buffer.from(message)
      // The counter's upper half, so that it is no repetition.
      header[15] ^= 0x10
      const name = Buffer.from(header)
      name[17] ^= 1
      return [header, name]
    })
    const invented = Array.from({ length: 200 }, (_, index) => {
      const message = randomBytes(RELAY_HEADER_BYTES + 100)
      message.writeUInt32LE(MESSAGE.relay)
      message.writeUInt32LE(1 + (index % 4), RELAY_HEADER_BYTES)
      return message
    })
    const before = await hub.status('tun0')
    const membersBefore = await Promise.all(members.map((it) => it.status('tun0')))
    const from = { address: network.underlay(3), port: 6000 }
    const pinging = ok(a, 'ping', '-q', '-c', '100', '-i', '0.02', network.overlay(2))
    await sendDatagrams(stranger, from, { address: network.underlay(0), port: PORT }, [
      ...toHub,
      ...altered,
      ...invented,
      // What the hub has sent is for nobody here.
      ...fromHub,
    ])
    for (const member of [1, 2])
      await sendDatagrams(stranger, from, { address: network.underlay(member), port: PORT }, [
        ...fromHub,
        ...invented,
      ])
    t.match(await pinging, / 100 received/, 'the pair loses nothing meanwhile')
    const after = await hub.status('tun0')
    const more = (name: keyof typeof after.drops) => after.drops[name] - before.drops[name]
    t.ok(more('replayed') >= toHub.length, `${more('replayed')} were repetitions`)
    t.ok(more('not_authentic') >= altered.length, `${more('not_authentic')} were altered`)
    t.ok(more('unknown_index') >= invented.length, `${more('unknown_index')} were made up`)
    const all = more('replayed') + more('not_authentic') + more('unknown_index')
    t.equal(all, 2 * toHub.length + toHub.length + invented.length + fromHub.length, 'each is counted once')
    const relayed = after.relay.datagrams - before.relay.datagrams
    t.ok(relayed >= 200 && relayed < 320, `only the pings were relayed: ${relayed} datagrams`)
    for (const [index, member] of members.entries()) {
      const { drops, peers } = await member.status('tun0')
      const was = membersBefore[index].drops
      const dropped = drops.replayed - was.replayed + drops.unknown_index - was.unknown_index
      t.ok(dropped >= fromHub.length / 2 + invented.length, `${dropped} were dropped by m${index + 1}`)
      const hubPeer = peers.find(({ name }) => name === 'hub')
      t.equal(hubPeer?.endpoint, `${network.underlay(0)}:${PORT}`, 'nobody has moved')
      t.equal((await introduced(index))[0].relayed?.by, 'hub')
    }
    for (const { endpoint } of after.peers) t.notMatch(endpoint, network.underlay(3))
    await stop()
  },
)
