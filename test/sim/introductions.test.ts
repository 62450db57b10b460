/** Hosts that know only a hub find each other, in simulated time. */
import type { Test } from 'tap'
import { writeControl } from '../../src/wire/control.js'
import { writeIntroduction } from '../../src/wire/introduction.js'
import { frameOf } from './frames.js'
import type { SimHost } from './host.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }

/** What the hub knows of a member: everything but where it is. */
const memberOf = (host: SimHost) => host.asPeer({ endpoint: undefined })
const hubOf = (hub: SimHost, more = {}) => hub.asPeer({ introducer: true, ...more })

/** A hub that introduces, and hosts that know only the hub. */
async function network(world: SimWorld, count: number, choices: HostChoices = TUN) {
  const hub = world.host('hub', choices)
  const members = Array.from({ length: count }, (_, index) => world.host(`m${index}`, choices))
  await world.run(hub.begin({ introduce: true, peers: members.map(memberOf) }))
  return { hub, members }
}

async function join(world: SimWorld, hubs: readonly SimHost[], members: readonly SimHost[]) {
  const peers = hubs.map((hub) => hubOf(hub))
  await world.run(Promise.all(members.map((member) => member.begin({ peers }))))
}

/** The names of the peers that a host was introduced to. */
function known(host: SimHost): string[] {
  return host
    .status()
    .peers.filter(({ introduced_by }) => introduced_by !== null)
    .map(({ name }) => name)
    .sort()
}

const othersThan = (host: SimHost, all: readonly SimHost[]) =>
  all
    .filter((it) => it !== host)
    .map(({ name }) => name)
    .sort()

/** A status is much work: it is not asked for after each event. */
const STEP_MS = 50

/** How many milliseconds pass until it holds. */
async function timeUntil(world: SimWorld, holds: () => boolean, limitMs = 60_000): Promise<number> {
  const startMs = world.time.nowMs
  while (!holds() && world.time.nowMs - startMs < limitMs) await world.pass(STEP_MS)
  return Math.round(world.time.nowMs - startMs)
}

const allKnow =
  (members: readonly SimHost[], all = members) =>
  () =>
    members.every((host) => known(host).join() === othersThan(host, all).join())

const hasSession = (host: SimHost, other: string) =>
  host.status().peers.some(({ name, privacy }) => name === other && privacy?.handshake_s != null)

/** Whether each of them reaches each other directly. */
const allDirect = (members: readonly SimHost[]) => () =>
  allConnected(members)() && members.every((host) => members.every((other) => !isRelayed(host, other)))

const isRelayed = (host: SimHost, other: SimHost) =>
  host.status().peers.some(({ name, relayed }) => name === other.name && relayed !== null)

const allConnected = (members: readonly SimHost[]) => () =>
  members.every((host) => members.every((other) => other === host || hasSession(host, other.name)))

/** Every member sends every other one a packet, and nothing passes the hub. */
async function everybodySpeaks(t: Test, world: SimWorld, hub: SimHost, members: readonly SimHost[]) {
  // What is for a member goes to it a moment after there is a session.
  await world.pass(200)
  const before = hub.received.length
  for (const member of members) member.overlay.received.length = 0
  for (const from of members)
    for (const to of members) if (from !== to) from.offer(to, `${from.name} ${to.name}`)
  await world.pass(500)
  for (const to of members)
    t.same(
      [...to.texts].sort(),
      othersThan(to, members).map((from) => `${from} ${to.name}`),
      `${to.name} heard everybody`,
    )
  t.equal(hub.received.length, before, 'the hub saw nothing of it')
}

simTest('twenty hosts that know only the hub find each other, and speak directly', async (t, world) => {
  const { hub, members } = await network(world, 20)
  await join(world, [hub], members)
  const knowMs = await timeUntil(world, allKnow(members))
  t.ok(knowMs <= 2_000, `everybody knows everybody after ${knowMs} ms`)
  const directMs = await timeUntil(world, allConnected(members))
  t.comment(`all know after ${knowMs} ms, all ${20 * 19} sessions after ${directMs} ms more`)
  t.ok(allConnected(members)(), 'each has a session with each')
  await everybodySpeaks(t, world, hub, members)
})

/** Three members that all know each other, and a flow between two of them. */
async function threeMembers(world: SimWorld, choices: HostChoices = TUN) {
  const { hub, members } = await network(world, 3, choices)
  await join(world, [hub], members)
  await timeUntil(world, allConnected(members))
  await world.pass(200)
  return { hub, members, introduced: members.map(memberOf) }
}

simTest('members come, change and go at run time, and what is up loses nothing for it', async (t, world) => {
  const { hub, members, introduced } = await threeMembers(world)
  const [a, b, c] = members
  const end = world.flow(a, b, 10)
  const late = world.host('late', TUN)
  const reload = (peers: readonly Record<string, unknown>[]) => hub.reload({ introduce: true, peers })

  await reload([...introduced, memberOf(late)])
  const cameMs = await timeUntil(world, () => members.every((it) => known(it).includes('late')))
  t.ok(cameMs <= 2_000, `all know it after ${cameMs} ms, before it is there`)
  await join(world, [hub], [late])
  const everybody = [...members, late]
  const foundMs = await timeUntil(world, allConnected(everybody))
  t.ok(foundMs <= 2_000, `and it is found ${foundMs} ms after it has come`)

  await reload(
    [...introduced.slice(0, 2), memberOf(c), memberOf(late)].map((peer, index) =>
      index === 2 ? { ...peer, prefixes: ['10.9.0.128/28'] } : peer,
    ),
  )
  const changedMs = await timeUntil(world, () => a.peer(c.name).overlay.includes('10.9.0.128/28'))
  t.ok(changedMs <= 2_000, `a change is known after ${changedMs} ms`)
  await world.pass(200)
  a.send('10.9.0.130', 'for what is behind it')
  await world.pass(100)
  t.match(c.texts.at(-1), 'for what is behind it')

  await reload(introduced.slice(0, 2))
  const goneMs = await timeUntil(world, () => [a, b].every((it) => known(it).length === 1))
  t.ok(goneMs <= 2_000, `those that are removed are gone after ${goneMs} ms`)
  await world.pass(1_000)
  end()
  await world.pass(100)
  const sent = b.texts.map((text) => Number(text.split(' ').at(-1)))
  t.same(
    sent,
    sent.map((_, index) => index),
    `all ${sent.length} packets of the flow have come, in order`,
  )
})

simTest(
  'what is known stays while the introducer is away, and is put right after its restart',
  async (t, world) => {
    const { hub, members, introduced } = await threeMembers(world)
    const [a, b] = members
    hub.crash()
    await world.pass(120_000)
    for (const member of members) t.equal(known(member).length, 2, `${member.name} knows both`)
    a.offer(b, 'without the hub')
    await world.pass(100)
    t.same(b.texts, ['without the hub'])
    await hub.start({ introduce: true, peers: introduced.slice(0, 2) })
    t.equal(known(a).length, 2, 'at first nothing changes')
    const ms = await timeUntil(world, () => [a, b].every((it) => known(it).length === 1))
    t.comment(`put right ${ms} ms after the restart`)
    t.ok(ms < 60_000)
    t.same([known(a), known(b)], [['m1'], ['m0']])
  },
)

simTest('an introducer that restarts at once is found again soon', async (t, world) => {
  const { hub, members, introduced } = await threeMembers(world)
  const [a, b] = members
  hub.crash()
  await hub.start({ introduce: true, peers: introduced.slice(0, 2) })
  const ms = await timeUntil(world, () => [a, b].every((it) => known(it).length === 1))
  t.ok(ms < 13_000, `its members know after ${ms} ms`)
})

simTest('two introducers: one is enough, and the first word counts', async (t, world) => {
  const { hub, members } = await network(world, 2)
  const [a, b] = members
  const other = world.host('other', TUN)
  const wrongKey = world.publicKey()
  await world.run(
    other.begin({ introduce: true, peers: [memberOf(a), { ...memberOf(b), public_key: wrongKey }] }),
  )
  await join(world, [hub], [b])
  const one = { peers: [hubOf(hub)] }
  await a.start(one)
  await timeUntil(world, () => known(a).includes('m1'))
  await a.reload({ peers: [hubOf(hub), hubOf(other)] })
  await timeUntil(world, () => a.count('dropIntroductionRefused') > 0 || a.said(/another/).length > 0, 5_000)
  t.same(a.said(/somebody may want to be taken for m1/).length, 1, 'said once, and loudly')
  await other.restart()
  await world.pass(30_000)
  t.same(a.said(/somebody may want to be taken for m1/).length, 1, 'and never again')
  t.ok(a.status().drops.introduction_refused >= 1, 'and counted')
  t.ok(hasSession(a, 'm1'), 'the true one is still there')

  await other.reload({ introduce: true, peers: [memberOf(a), memberOf(b)] })
  await world.pass(2_000)
  await hub.reload({ introduce: true, peers: [memberOf(a)] })
  await world.pass(2_000)
  t.equal(a.peer('m1').introduced_by, 'other', 'the other one still introduces it')
  await other.reload({ introduce: true, peers: [memberOf(a)] })
  await world.pass(2_000)
  t.same(known(a), [])
})

simTest('a key that was known is not replaced, not even after its name was gone', async (t, world) => {
  const { hub, members, introduced } = await threeMembers(world)
  const [a] = members
  await hub.reload({ introduce: true, peers: introduced.slice(0, 2) })
  await world.pass(2_000)
  t.same(known(a), ['m1'])
  const peers = [...introduced.slice(0, 2), { ...introduced[2], public_key: world.publicKey() }]
  await hub.reload({ introduce: true, peers })
  await world.pass(2_000)
  t.same(known(a), ['m1'])
  t.equal(a.said(/m2 is known to have/).length, 1)
  t.equal(a.status().drops.introduction_refused, 1)
  // A person may say so.
  await a.reload({ peers: [hubOf(hub), { ...peers[2], name: 'm2' }] })
  t.equal(a.peer('m2').introduced_by, null)
})

simTest('at a loss of a fifth, twenty hosts know each other in two seconds, and meet', async (t, world) => {
  const { hub, members } = await network(world, 20)
  for (const a of [hub, ...members])
    for (const b of [hub, ...members]) if (a !== b) world.network.way(a.name, b.name).loss = 0.2
  await join(world, [hub], members)
  await timeUntil(world, () => members.every((it) => hasSession(it, 'hub')))
  const knowMs = await timeUntil(world, allKnow(members))
  t.ok(knowMs <= 2_000, `everybody knows everybody ${knowMs} ms after all have a session with the hub`)
  const ms = await timeUntil(world, allConnected(members))
  t.ok(ms < 15_000, `all ${20 * 19} sessions ${ms} ms after that`)
})

simTest(
  'what the settings say of a peer is never changed, and nobody gets its addresses',
  async (t, world) => {
    const { hub, members, introduced } = await threeMembers(world)
    const [a, b] = members
    const victim = b.asPeer()
    const claims = [
      { name: 'x1', prefixes: ['10.9.0.2/31'] },
      { name: 'x2', addresses: [b.overlay.ipv4] },
      { name: 'x3', prefixes: ['0.0.0.0/0'] },
      { name: 'x4', prefixes: ['10.9.0.0/28'] },
      { name: 'x5', addresses: ['192.0.2.77'] },
      { name: 'm1', addresses: ['10.9.0.77'] },
    ]
    await a.reload({ peers: [hubOf(hub), victim] })
    const before = JSON.stringify(a.peer('m1').overlay)
    for (const claim of claims) {
      const peers = [introduced[0], { public_key: world.publicKey(), ...claim }]
      await hub.reload({ introduce: true, peers })
      await world.pass(1_000)
    }
    t.equal(a.status().drops.introduction_refused, claims.length)
    t.same(known(a), [], 'none of them is believed')
    t.equal(JSON.stringify(a.peer('m1').overlay), before)
    t.equal(a.said(/introduces/).length, claims.length, 'each said once')
  },
)

simTest('a member that is no introducer introduces nobody, and asks nobody else', async (t, world) => {
  const { members } = await threeMembers(world)
  const [a, b, attacker] = members
  const member = {
    publicKey: Buffer.from(world.publicKey(), 'base64'),
    name: 'evil',
    networks: [],
    endpoints: [{ address: Uint8Array.of(203, 0, 113, 9), port: 53 }],
  }
  const content = [
    writeIntroduction({ kind: 'member', member, epoch: 7, after: 0, revision: 1, latest: 1 }),
    writeIntroduction({ kind: 'gone', publicKey: b.publicKey, epoch: 7, after: 0, revision: 1, latest: 1 }),
  ]
  let victims = 0
  world.network.watch = ({ to }) => {
    if (to.address === '203.0.113.9') victims++
  }
  for (let round = 0; round < 50; round++) {
    for (const row of attacker.rowsInUse)
      for (const it of content) tellRow(attacker, row, { type: 'introduction', content: it })
    await world.pass(100)
  }
  for (const host of [a, b]) {
    t.equal(host.status().drops.introduction_unasked, 100, `${host.name} has counted and dropped all`)
    t.equal(known(host).length, 2)
    t.notOk(known(host).includes('evil'))
  }
  t.equal(victims, 0, 'nothing went to the victim')
})

/** Whoever has a member's key can send what it likes through its sessions. */
function tellRow(host: SimHost, row: number, message: { type: 'introduction' | 'ask'; content: Uint8Array }) {
  const frame = writeControl('tun', { ...message, token: 0n, sizeBytes: 0 })
  host.platform?.workers.path?.offer(row, frame)
}

simTest(
  'an introducer that aims its members at a victim gets a few datagrams a second out of them',
  async (t, world) => {
    const { hub, members } = await network(world, 1)
    await join(world, [hub], members)
    const bogus = Array.from({ length: 40 }, (_, index) => ({
      name: `bogus${index}`,
      public_key: world.publicKey(),
      addresses: [`10.9.0.${100 + index}`],
      endpoint: '203.0.113.9:53',
    }))
    const times: number[] = []
    world.network.watch = ({ from, to }) => {
      if (from === 'm0' && to.address === '203.0.113.9') times.push(world.time.nowMs)
    }
    await hub.reload({ introduce: true, peers: [memberOf(members[0]), ...bogus] })
    const startMs = world.time.nowMs
    // The hub tells of other places all the time.
    for (let second = 0; second < 60; second++) {
      const peers = bogus.map((it) => ({ ...it, endpoint: `203.0.113.9:${1000 + second}` }))
      await hub.reload({ introduce: true, peers: [memberOf(members[0]), ...peers] })
      await world.pass(1_000)
    }
    const seconds = (world.time.nowMs - startMs) / 1000
    t.comment(`${times.length} datagrams in ${Math.round(seconds)} s`)
    t.ok(times.length <= 32 + 16 * seconds, `${times.length} datagrams in ${seconds} s`)
    t.ok(times.length > 100, 'it does try')
    await hub.reload({ introduce: true, peers: [memberOf(members[0]), ...bogus] })
    await world.pass(300_000)
    times.length = 0
    await world.pass(60_000)
    t.ok(times.length <= 40 * 2, `${times.length} in a minute when the places stay`)
  },
)

simTest('what comes to be between two members, by the NATs that they are behind', async (t, world) => {
  const kinds = ['none', 'cone', 'symmetric'] as const
  const meet = { none: ['none', 'cone', 'symmetric'], cone: ['none', 'cone'], symmetric: ['none'] }
  let number = 0
  for (const left of kinds)
    for (const right of kinds) {
      number++
      const hub = world.host(`hub${number}`, TUN)
      const [a, b] = [left, right].map((kind, side) => {
        const nat = kind === 'none' ? undefined : world.nat(`203.0.${number}.${side + 1}`, kind)
        return world.host(`${'ab'[side]}${number}`, {
          ...TUN,
          addresses: [nat === undefined ? `198.18.${number}.${side + 1}` : `10.0.0.${side + 1}`],
          nat,
        })
      })
      await world.run(hub.begin({ introduce: true, peers: [a, b].map(memberOf) }))
      await join(world, [hub], [a, b])
      await timeUntil(world, allKnow([a, b]))
      const expected = (meet[left] as string[]).includes(right)
      const ms = await timeUntil(world, allConnected([a, b]))
      t.ok(ms <= 500, `${left} and ${right}: a session, by the relay at least, after ${ms} ms`)
      const directMs = await timeUntil(world, allDirect([a, b]), expected ? 20_000 : 60_000)
      const text = expected ? `are direct after ${directMs} ms` : 'stay relayed'
      t.equal(allDirect([a, b])(), expected, `${left} and ${right} ${text}`)
      if (expected) t.ok(directMs <= 2_000, `${directMs} ms`)
      await world.pass(200)
      a.offer(b, `from ${left}`)
      b.offer(a, `from ${right}`)
      await world.pass(200)
      t.same([a.texts.at(-1), b.texts.at(-1)], [`from ${right}`, `from ${left}`])
      for (const host of [a, b, hub]) await host.stop()
    }
})

simTest('in mode tap, members have one Ethernet without the hub', async (t, world) => {
  const { members } = await threeMembers(world, {})
  const [a, b] = members
  const row = a.rowsInUse.find((it) => it > 0) ?? -1
  a.platform?.workers.path?.offer(row, frameOf(b.overlay.mac, a.overlay.mac, 'an Ethernet frame'))
  await world.pass(100)
  const heard = members.flatMap(({ texts }) => texts)
  t.same(heard, ['an Ethernet frame'])
})

simTest('who asks a host that introduces nobody learns nothing, and asks seldom', async (t, world) => {
  const hub = world.host('hub', TUN)
  const member = world.host('m', TUN)
  await world.run(
    Promise.all([hub.begin({ peers: [memberOf(member)] }), member.begin({ peers: [hubOf(hub)] })]),
  )
  await world.pass(600_000)
  t.same(known(member), [])
  const { introduction_unasked: asked } = hub.status().drops
  t.ok(asked > 0 && asked < 40, `${asked} questions in ten minutes`)
})

simTest(
  'a member that sends with the address of a victim gets a few datagrams out of the others',
  async (t, world) => {
    const { hub, members } = await network(world, 10)
    await join(world, [hub], members)
    await timeUntil(world, allConnected(members))
    const [attacker, ...others] = members
    const victim = '203.0.113.9'
    const times: number[] = []
    // What comes for the victim does not come to the attacker.
    world.network.swallows = ({ to }) => to.address === victim
    world.network.watch = ({ from, to }) => {
      if (to.address === victim && others.some(({ name }) => name === from)) times.push(world.time.nowMs)
    }
    attacker.attachment.addresses = [victim]
    await world.pass(30_000)
    t.match(hub.peer('m0').endpoint, victim, 'the hub follows, as any WireGuard does')
    await world.run(Promise.all(others.map((it) => it.stop())))
    times.length = 0
    await world.run(Promise.all(others.map((it) => it.begin())))
    await world.pass(60_000)
    const told = others.filter((it) => known(it).includes('m0')).length
    t.equal(told, 9, 'all others are told of that place')
    t.comment(`${times.length} datagrams in a minute from 9 members`)
    t.ok(times.length > 0 && times.length <= 9 * 12, `${times.length} datagrams in a minute from 9 members`)
    t.notOk(others.some((it) => hasSession(it, 'm0')))
  },
)
