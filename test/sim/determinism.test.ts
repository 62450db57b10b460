import { createHash } from 'node:crypto'
import t from 'tap'
import { SimWorld } from './world.js'

/** A busy world: losses, moves, restarts, reloads and names. @returns all that was said and sent */
async function history(seed: number): Promise<{ lines: string[]; datagrams: string }> {
  const world = new SimWorld(seed)
  const { random } = world
  const hash = createHash('sha256')
  world.network.watch = ({ from, to, payload }) =>
    hash.update(`${world.time.nowMs} ${from} ${to.address} ${to.port} `).update(payload)
  const hosts = Array.from({ length: 6 }, (_, index) => world.host(`h${index}`))
  for (const a of hosts) {
    world.dns.set(`${a.name}.example`, { addresses: a.attachment.addresses, delayMs: random.between(1, 900) })
    for (const b of hosts)
      world.between(a, b, {
        loss: 0.05,
        jitterMs: 30,
        duplication: 0.05,
        mtuBytes: random.pick([1280, 1500]),
      })
  }
  const peersOf = (name: string) =>
    hosts
      .filter((it) => it.name !== name)
      .map((it) => it.asPeer({ endpoint: `${it.name}.example`, persistent_keepalive: 25 }))
  await world.run(Promise.all(hosts.map((it) => it.begin({ peers: peersOf(it.name) }))))
  for (const a of hosts) for (const b of hosts) if (a !== b) world.flow(a, b, random.between(100, 1_000), 300)
  for (let round = 0; round < 6; round++) {
    await world.pass(random.between(1_000, 10_000))
    const host = random.pick(hosts)
    const what = random.between(0, 4)
    if (what === 0) await host.restart()
    else if (what === 1) {
      host.crash()
      await host.start()
    } else if (what === 2) host.attachment.addresses = [`203.0.113.${round + 1}`]
    else await host.reload({ peers: random.happens(0.5) ? peersOf(host.name).slice(1) : peersOf(host.name) })
  }
  const faults = hosts.map((host) => host.faults)
  await Promise.all(hosts.map((host) => world.run(host.stop())))
  const lines = hosts.flatMap((host) => host.lines.map((line) => JSON.stringify([host.name, line])))
  return { lines: [...lines, JSON.stringify(faults)], datagrams: hash.digest('hex') }
}

/** The first line in which two logs differ: faster than to compare them as a whole. */
function firstDifference(a: readonly string[], b: readonly string[]): string | undefined {
  return a.length === b.length
    ? a.find((line, index) => line !== b[index])
    : `${a.length} and ${b.length} lines`
}

t.test('the same seed gives the same world, to the last byte; another seed gives another one', async (t) => {
  const first = await history(7)
  t.ok(first.lines.length > 100)
  t.same(first.lines.at(-1), '[0,0,0,0,0,0]')
  const second = await history(7)
  t.equal(firstDifference(first.lines, second.lines), undefined)
  t.equal(second.datagrams, first.datagrams)
  t.not((await history(8)).datagrams, first.datagrams)
})
