/** A member that tells ever other things, and what others tell meanwhile; in simulated time. */
import { writeControl } from '../../src/wire/control.js'
import { type Claims, writeAsk } from '../../src/wire/introduction.js'
import { SignedNetwork } from '../support/signed-network.js'
import type { SimHost } from './host.js'
import { simTest } from './world.js'

simTest('a member that says ever other things of itself silences nobody else', async (t, world) => {
  const [hub, a, b] = ['hub', 'a', 'b'].map((name) => world.host(name))
  const network = new SignedNetwork(world.random.bytes(32))
  const peers = [a, b].map((it) => it.asPeer({ endpoint: undefined }))
  const endsS = Math.floor(hub.clock.unixMs() / 1_000) + 15 * 86_400
  const record = network.line({ name: 'hub', publicKey: hub.publicKey, endsS })
  await world.run(hub.begin({ introduce: true, record, peers }))
  for (const it of [a, b]) await world.run(it.begin({ peers: [hub.asPeer({ introducer: true })] }))
  await world.pass(2_000)
  const ask = (host: SimHost, macs: Claims['macs']) => {
    const content = writeAsk({ epoch: 0, revision: 0 }, { endpoints: [], macs })
    const frame = writeControl('tap', { type: 'ask', token: 0n, sizeBytes: 0, content })
    for (const row of host.rowsInUse) host.platform?.workers.path?.offer(row, frame)
  }
  for (let index = 0; index < 400; index++) {
    ask(a, [Uint8Array.of(1, 0, 0, 0, index >> 8, index & 0xff)])
    await world.pass(100)
  }
  const said = hub.said(/a says that it has the MAC/).length
  t.ok(said >= 10 && said <= 100, `${said} sentences about a`)
  ask(b, [Uint8Array.of(1, 0, 0, 0, 0, 1)])
  await world.pass(1_000)
  t.equal(hub.said(/b says that it has the MAC/).length, 1)
  t.same(hub.said(/the record of this host/), [])
  hub.clock.step(2 * 86_400_000)
  await world.pass(1_000)
  t.equal(hub.said(/the record of this host ends on/).length, 1)
})
