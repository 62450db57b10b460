/** A host that was suspended: no key is used longer than 180 s, and the suspend is a part of those. */
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { IPV4 } from '../../../src/wire/ipv4.js'
import { IPPROTO_UDP } from '../../../src/wire/udp.js'
import { MESSAGE, TRANSPORT } from '../../../src/wire/wireguard.js'
import { RunningTunnel, run, startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

const JUMPER = fileURLToPath(new URL('../../support/hosts/clock-jumper.js', import.meta.url))

/** Ethernet, IPv4 and UDP. */
const HEADERS_BYTES = 42
const PROTOCOL_AT = 14 + IPV4.protocol

for (const mode of ['tap', 'tun']) {
  t.test(`mode ${mode}: what comes first after a suspend waits for new keys`, async (t) => {
    using keys = new KeyFolder()
    using pair = twoHosts()
    const [ka, kb] = [keys.make('a'), keys.make('b')]
    const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, '--mode', mode, ...keyFlags(kb, ka))
    const args = ['10.9.0.1', pair.underlay.b, '--mode', mode, ...keyFlags(ka, kb)]
    const near = new RunningTunnel(pair.a, args, ['--import', JUMPER], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    await near.said(/ is up: /)
    await untilPing(pair.a, '10.9.0.2', 20_000)
    using wire = new PacketSocket(pair.b, 'eth0')
    /** The indexes that b has given to the keys of what came from a. */
    const indexes = async (work: () => Promise<unknown>) => {
      const seen = new Set<number>()
      while (wire.receive() !== undefined);
      await work()
      for (let it = wire.receive(); it !== undefined; it = wire.receive()) {
        const { bytes, outgoing } = it
        const udp = bytes.subarray(HEADERS_BYTES)
        if (outgoing || udp.length < TRANSPORT.packet || bytes[PROTOCOL_AT] !== IPPROTO_UDP) continue
        if (udp.readUInt32LE(TRANSPORT.type) === MESSAGE.transport)
          seen.add(udp.readUInt32LE(TRANSPORT.receiver))
      }
      return seen
    }
    const before = await indexes(() => run(pair.a, 'ping', ['-c', '5', '-i', '0.2', '10.9.0.2']))
    t.equal(before.size, 1, 'one keypair')

    near.child.send(200_000)
    await once(near.child, 'message')
    const after = await indexes(async () => {
      const { code, stdout } = await run(pair.a, 'ping', ['-c', '3', '-i', '0.3', '-W', '2', '10.9.0.2'])
      t.equal(code, 0)
      // The answer to the first may be sealed with the old keys: the other end has not switched by then.
      t.match(stdout, /[23] received/)
      t.equal((await near.status(`${mode}0`)).drops.no_keypair, 0, 'the first has waited')
    })
    t.equal(after.size, 1, 'one keypair')
    t.notOk(
      [...after].some((index) => before.has(index)),
      'and none of the old',
    )
    t.equal((await near.status(`${mode}0`)).faults.count, 0)
    for (const tunnel of [near, far]) t.equal((await tunnel.stop()).code, 0)
  })
}
