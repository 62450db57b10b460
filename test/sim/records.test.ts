/** Hosts that believe only what a network key has signed, and introducers that do not behave; in simulated time. */
import { formatKey } from '../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../src/noise/keys.js'
import { writeControl } from '../../src/wire/control.js'
import { writeIntroduction } from '../../src/wire/introduction.js'
import type { SignedRecord } from '../../src/wire/signed-record.js'
import { type Signed, SignedNetwork } from '../support/signed-network.js'
import type { SimHost } from './host.js'
import { type HostChoices, type SimWorld, simTest } from './world.js'

const TUN: HostChoices = { mode: 'tun' }
const DAY_S = 86_400

/** Long enough for whatever is told to be heard. */
const HEARD_MS = 3_000

const memberOf = (host: SimHost, more = {}) => host.asPeer({ endpoint: undefined, addresses: [], ...more })
const hubOf = (hub: SimHost) => hub.asPeer({ introducer: true })

/** The names of the peers that a host was introduced to. */
function known(host: SimHost): string[] {
  const introduced = host.status().peers.filter(({ introduced_by }) => introduced_by !== null)
  return introduced.map(({ name }) => name).sort()
}

const hasSession = (host: SimHost, other: string) =>
  host.status().peers.some(({ name, privacy }) => name === other && privacy?.handshake_s != null)

async function timeUntil(world: SimWorld, holds: () => boolean, limitMs = 30_000): Promise<number> {
  const startMs = world.time.nowMs
  while (!holds() && world.time.nowMs - startMs < limitMs) await world.pass(50)
  return Math.round(world.time.nowMs - startMs)
}

/** Seconds since 1970, on a host's calendar. */
const nowS = (host: SimHost) => Math.floor(host.clock.unixMs() / 1_000)

function signedOf(host: SimHost, more: Partial<Signed> = {}): Signed {
  const { ipv4, ipv6 } = host.overlay
  return {
    name: host.name,
    publicKey: host.publicKey,
    addresses: [ipv4, ipv6],
    endsS: nowS(host) + 365 * DAY_S,
    ...more,
  }
}

interface Scene {
  readonly network: SignedNetwork
  readonly hub: SimHost
  readonly members: readonly SimHost[]
  /** The settings of a member. */
  readonly settings: (
    member: SimHost,
    more?: Partial<Signed>,
  ) => { peers: Record<string, unknown>[]; [key: string]: unknown }
  /** The peers of a good introducer. */
  readonly peers: Record<string, unknown>[]
}

/** A hub, and members that know only the hub, and give it their own records. */
async function begun(
  world: SimWorld,
  count: number,
  hubs: (hub: SimHost) => readonly SimHost[] = (hub) => [hub],
): Promise<Scene> {
  const network = new SignedNetwork(world.random.bytes(32))
  const hub = world.host('hub', TUN)
  const members = Array.from({ length: count }, (_, index) => world.host(`m${index}`, TUN))
  const peers = members.map((it) => memberOf(it, { addresses: it.overlay.asPeer.addresses }))
  await world.run(hub.begin({ introduce: true, network_key: network.text, peers }))
  const settings = (member: SimHost, more: Partial<Signed> = {}) => ({
    network_key: network.text,
    record: network.line(signedOf(member, more)),
    peers: hubs(hub).map(hubOf),
  })
  await world.run(Promise.all(members.map((member) => member.begin(settings(member)))))
  await timeUntil(world, () =>
    members.every((it) => members.every((other) => it === other || hasSession(it, other.name))),
  )
  await world.pass(200)
  return { network, hub, members, settings, peers }
}

simTest('members give their records to the hub, find each other, and speak directly', async (t, world) => {
  const { hub, members, network, settings, peers } = await begun(world, 20)
  for (const it of members) t.equal(known(it).length, 19, `${it.name} knows all`)
  const [a, b] = members
  a.offer(b, 'directly')
  await world.pass(100)
  t.same(b.texts, ['directly'])
  t.same(hub.texts, [])
  for (const it of [hub, ...members]) t.equal(it.status().drops.introduction_refused, 0)

  const late = world.host('late', TUN)
  await hub.reload({
    introduce: true,
    network_key: network.text,
    peers: [...peers, memberOf(late, { addresses: late.overlay.asPeer.addresses })],
  })
  const end = world.flow(a, b, 10)
  await world.run(late.begin(settings(late)))
  const ms = await timeUntil(
    world,
    () => members.every((it) => known(it).includes('late')) && known(late).length === 20,
  )
  t.ok(ms <= 2_000, `all know it ${ms} ms after it has come`)
  end()
  await world.pass(100)
  const numbers = b.texts.slice(1).map((text) => Number(text.split(' ').at(-1)))
  t.same(
    numbers,
    numbers.map((_, index) => index),
    `all ${numbers.length} packets of a flow have come`,
  )
})

simTest(
  'a bad introducer cannot pretend: without a signature, forged, foreign, ended, or with an own key',
  async (t, world) => {
    const bad = world.host('bad', TUN)
    const { members, network: good, settings } = await begun(world, 2)
    const [a, b] = members
    const foreign = new SignedNetwork(world.random.bytes(32))
    const other = derivePublicKey(clampPrivateKey(world.random.bytes(32)))
    const evilKey = derivePublicKey(clampPrivateKey(world.random.bytes(32)))
    const evil = {
      name: 'm1',
      publicKey: evilKey,
      addresses: ['10.9.0.99'],
      serial: 99,
      endsS: nowS(a) + DAY_S,
    }
    const cases: [Record<string, unknown>, RegExp][] = [
      [
        { name: 'm1', public_key: formatKey(evilKey), addresses: ['10.9.0.99'] },
        /m1 .* without a signed record/,
      ],
      [
        { name: 'x', public_key: formatKey(evilKey), addresses: ['10.9.0.99'] },
        /x .* without a signed record/,
      ],
      [{ record: foreign.line(evil) }, /m1 .* that the network key has not signed/],
      [{ record: good.line({ ...evil, name: 'y', endsS: nowS(a) - 1 }) }, /y .* that ended on 2025-12-31/],
      [
        {
          record: good.line({ ...evil, name: 'z', serial: 0, publicKey: other, addresses: [b.overlay.ipv4] }),
        },
        /z with .*, but m1 has/,
      ],
    ]
    await world.run(
      bad.begin({ introduce: true, peers: [memberOf(a, { addresses: a.overlay.asPeer.addresses })] }),
    )
    await a.reload({ ...settings(a), peers: [...settings(a).peers, hubOf(bad)] })
    await world.pass(HEARD_MS)
    const end = world.flow(b, a, 10)
    let refused = a.status().drops.introduction_refused
    for (const [peer, why] of cases) {
      await bad.reload({
        introduce: true,
        peers: [memberOf(a, { addresses: a.overlay.asPeer.addresses }), peer],
      })
      await world.pass(HEARD_MS)
      t.same(known(a), ['m1'], `${why}`)
      t.equal(a.said(why).length, 1, `said once: ${why}`)
      const now = a.status().drops.introduction_refused
      t.equal(now, refused + 1, 'and counted')
      refused = now
    }
    await bad.restart()
    await world.pass(20_000)
    for (const [, why] of cases) t.equal(a.said(why).length, 1, 'and never again')
    end()
    await world.pass(100)
    const numbers = a.texts.map((text) => Number(text.split(' ').at(-1)))
    t.same(
      numbers,
      numbers.map((_, index) => index),
      `all ${numbers.length} packets of m1 have come meanwhile`,
    )
  },
)

simTest(
  'a later record gives a name another key; the old one is refused, also after a restart',
  async (t, world) => {
    const { hub, members, network: signed, settings, peers } = await begun(world, 2)
    const [a, b] = members
    const old = signed.line(signedOf(b))
    // The host is set up anew.
    await b.stop()
    const fresh = world.host('m1', TUN)
    const now = signed.line({ ...signedOf(b, { serial: 2 }), publicKey: fresh.publicKey })
    const freshPeer = { record: now }
    await hub.reload({ introduce: true, network_key: signed.text, peers: [peers[0], freshPeer] })
    const keyOf = (host: SimHost) => JSON.stringify(host.files.get([...host.files.keys()][0] ?? ''))
    await timeUntil(world, () => a.said(/members were introduced/).length > 1)
    await world.pass(HEARD_MS)
    t.same(known(a), ['m1'])
    t.match(keyOf(a), formatKey(fresh.publicKey), 'the new key is kept')
    t.notMatch(keyOf(a), formatKey(b.publicKey))

    const replay = { introduce: true, peers: [peers[0], { record: old }] }
    for (const way of ['running', 'restarted', 'killed', 'introduced by a reload'] as const) {
      if (way === 'running') await hub.reload(replay)
      if (way === 'restarted') await a.restart()
      if (way === 'killed') {
        a.crash()
        await a.start(settings(a))
      }
      if (way === 'introduced by a reload') {
        await a.stop()
        await a.start({ ...settings(a), peers: [hub.asPeer()] })
        await a.reload(settings(a))
      }
      await timeUntil(world, () => hasSession(a, 'hub'))
      await world.pass(HEARD_MS)
      t.same(known(a), [], `${way}: the old record is not believed`)
      t.ok(a.status().drops.introduction_refused > 0)
    }
    t.match(a.said(/old record/)[0], /its serial number is 1, and one with 2 was seen/)
    t.equal(a.said(/old record/).length, 4, 'each run has said it once')
    await hub.reload({ introduce: true, network_key: signed.text, peers: [peers[0], freshPeer] })
    await world.pass(HEARD_MS)
    t.same(known(a), ['m1'])
  },
)

simTest('of two introducers that disagree, the later record wins, whoever is first', async (t, world) => {
  const [left, right] = ['left', 'right'].map((name) => world.host(name, TUN))
  const { members, network: signed, settings } = await begun(world, 1)
  const [a] = members
  const keys = [1, 2].map(() => derivePublicKey(clampPrivateKey(world.random.bytes(32))))
  const recordOf = (index: number) =>
    signed.line({
      name: 'x',
      publicKey: keys[index],
      addresses: ['10.9.0.77'],
      serial: 7 + index,
      endsS: nowS(a) + DAY_S,
    })
  const own = memberOf(a, { addresses: a.overlay.asPeer.addresses })
  await world.run(left.begin({ introduce: true, peers: [own, { record: recordOf(0) }] }))
  await world.run(right.begin({ introduce: true, peers: [own, { record: recordOf(1) }] }))
  for (const order of [
    [left, right],
    [right, left],
  ]) {
    await a.reload({ ...settings(a), peers: [hubOf(order[0])] })
    await world.pass(HEARD_MS)
    await a.reload({ ...settings(a), peers: order.map(hubOf) })
    await world.pass(HEARD_MS)
    t.same(known(a), ['x'])
    t.equal(a.peer('x').introduced_by, 'right')
  }
  t.equal(a.said(/left introduces x .* old record/).length, 1, 'said once')
  // One that keeps it to itself does no harm while another one tells it.
  await left.reload({ introduce: true, peers: [own, { record: recordOf(1) }] })
  await right.reload({ introduce: true, peers: [own] })
  await world.pass(HEARD_MS)
  t.same([known(a), a.peer('x').introduced_by], [['x'], 'left'])
})

simTest('a peer goes when its record ends; a clock that is set on and back', async (t, world) => {
  const { members, settings } = await begun(world, 3)
  const [a, b, c] = members
  await b.reload(settings(b, { serial: 2, endsS: nowS(b) + 600 }))
  await world.pass(20_000)
  t.same(known(a), ['m1', 'm2'])
  const end = world.flow(c, a, 50)
  await world.pass(590_000)
  t.same(known(a), ['m2'], 'it has gone')
  t.equal(a.said(/m1 .* that ended on/).length, 1)
  await b.reload(settings(b, { serial: 3 }))
  const ms = await timeUntil(world, () => known(a).length === 2)
  t.ok(ms < 15_000, `with a new record it is back after ${ms} ms`)

  a.clock.step(400 * DAY_S * 1_000)
  await world.pass(500)
  t.same(known(a), [], 'a clock that is set on: all have ended')
  a.clock.step(-400 * DAY_S * 1_000)
  await timeUntil(world, () => hasSession(a, 'm1') && hasSession(a, 'm2'))
  t.same(known(a), ['m1', 'm2'], 'it is right again, and so are they')
  a.clock.step(-400 * DAY_S * 1_000)
  await world.pass(1_000)
  t.same(known(a), ['m1', 'm2'], 'a clock that is set back')
  a.clock.step(400 * DAY_S * 1_000)
  await world.pass(1_000)
  end()
})

simTest('an introducer that restarts still has the records that were given to it', async (t, world) => {
  const { hub, members } = await begun(world, 3)
  const [a, b] = members
  const end = world.flow(b, a, 10)
  for (const way of ['stop', 'crash'] as const) {
    await world.pass(HEARD_MS)
    if (way === 'stop') await hub.restart()
    else {
      hub.crash()
      await hub.start()
    }
    // One member comes back to it much later than the others.
    world.between(hub, b, { loss: 1 })
    for (let second = 0; second < 40; second++) {
      await world.pass(1_000)
      if (known(a).length !== 2) break
    }
    world.between(hub, b, { loss: 0 })
    t.same(known(a), ['m1', 'm2'], `${way}: all are still known`)
  }
  end()
  await world.pass(100)
  const numbers = a.texts.map((text) => Number(text.split(' ').at(-1)))
  t.same(
    numbers,
    numbers.map((_, index) => index),
    `all ${numbers.length} packets have come`,
  )
})

simTest('what a member gives of itself must be its own, signed, and later', async (t, world) => {
  const { hub, members, network: signed, settings } = await begun(world, 2)
  const [a, b] = members
  const foreign = new SignedNetwork(world.random.bytes(32))
  // Whoever has a member's key can send what it likes: its settings do not look at the record without a network_key.
  await b.reload({
    record: foreign.line(signedOf(b, { serial: 9, addresses: [a.overlay.ipv4] })),
    peers: settings(b).peers,
  })
  await world.pass(15_000)
  t.equal(hub.said(/m1 gives a record of itself that the network key has not signed/).length, 1)
  t.equal(hub.status().drops.introduction_refused, 1)
  await b.reload({ record: signed.line(signedOf(b, { serial: 0 })), peers: settings(b).peers })
  await world.pass(15_000)
  t.match(hub.said(/m1 gives/)[1], /serial number 0 is not greater than 1/)
  t.same(known(a), ['m1'])
})

simTest(
  'without a state directory, and with a damaged file, it goes on, and says so once',
  async (t, world) => {
    const { hub, members, settings } = await begun(world, 2)
    const [a] = members
    await world.pass(HEARD_MS)
    const [name] = a.files.keys()
    await a.stop()
    a.files.set(name, '{"version":1,"names":[{"na')
    await a.start(settings(a))
    await timeUntil(world, () => known(a).length === 1)
    t.equal(a.said(/is damaged, so the names/).length, 1)
    await world.pass(HEARD_MS)
    t.match(JSON.parse(a.files.get(name) ?? ''), { version: 1, names: [{ name: 'm1', serial: 1 }] })
    a.files.clear()
    a.filesAreFull = true
    await a.restart()
    await timeUntil(world, () => known(a).length === 1)
    await world.pass(60_000)
    t.equal(a.said(/nothing can be kept/).length, 1)
    t.same(known(a), ['m1'])
    t.equal(hub.faults, 0)
  },
)

simTest('a reload begins to believe only what is signed, and ends that', async (t, world) => {
  const { hub, members, settings, peers } = await begun(world, 2)
  const [a] = members
  // A hub that introduces somebody without a record, as hubs without a network key do.
  await hub.reload({ introduce: true, peers })
  await a.reload({ peers: settings(a).peers })
  await world.pass(HEARD_MS)
  t.same(known(a), ['m1'])
  await a.reload(settings(a))
  t.same(known(a), [], 'at once')
  await world.pass(1_000)
  t.equal(a.said(/m1 .* without a signed record/).length, 1)
  await a.reload({ peers: settings(a).peers })
  await timeUntil(world, () => hasSession(a, 'm1'))
  t.same(known(a), ['m1'])
})

simTest('a person is reminded before the record of a host ends, and when it has', async (t, world) => {
  const { members, settings } = await begun(world, 2)
  const [, b] = members
  t.same(b.said(/the record of this host/), [])
  await b.reload(settings(b, { serial: 2, endsS: nowS(b) + 13 * DAY_S }))
  await world.pass(5_000)
  t.match(b.said(/the record of this host/), [/ends on 2026-01-14; sign a new one/])
  b.clock.step(14 * DAY_S * 1_000)
  await world.pass(5_000)
  t.match(b.said(/the record of this host/)[1], /ended on 2026-01-14, and other members do not believe it/)
})

simTest(
  'an introducer that tells bogus records all the time delays a good one, and only its own',
  async (t, world) => {
    const { members, network: signed, settings } = await begun(world, 2)
    const [a, b] = members
    // It sends what it likes through its session.
    const flooder = world.host('flooder', TUN)
    await world.run(flooder.begin({ peers: [a.asPeer()] }))
    await a.reload({ ...settings(a), peers: [...settings(a).peers, hubOf(flooder)] })
    await timeUntil(world, () => hasSession(a, 'flooder'))
    const foreign = new SignedNetwork(world.random.bytes(32))
    let revision = 0
    const tell = (record: SignedRecord) => {
      revision++
      const member = { ...record, endpoints: [], record }
      const content = writeIntroduction({
        kind: 'member',
        member,
        epoch: 7,
        after: revision - 1,
        revision,
        latest: revision,
      })
      const frame = writeControl('tun', { type: 'introduction', token: 0n, sizeBytes: 0, content })
      for (const row of flooder.rowsInUse) flooder.platform?.workers.path?.offer(row, frame)
    }
    const keys = Array.from({ length: 200 }, () => world.random.bytes(32))
    const wave = async (serial: number) => {
      for (const [index, publicKey] of keys.entries()) {
        tell(foreign.record({ name: `x${index}`, publicKey, serial }))
        await world.pass(5)
      }
    }
    await wave(1)
    await wave(2)
    const late = {
      publicKey: derivePublicKey(clampPrivateKey(world.random.bytes(32))),
      addresses: ['10.9.0.88'],
      endsS: nowS(a) + DAY_S,
    }
    const startMs = world.time.nowMs
    tell(signed.record({ ...late, name: 'late' }))
    await b.reload(settings(b, { serial: 2, addresses: [b.overlay.ipv4] }))
    await timeUntil(world, () => a.peer('m1').overlay.length === 1, 20_000)
    const otherMs = world.time.nowMs - startMs
    await timeUntil(world, () => known(a).includes('late'), 20_000)
    const ownMs = world.time.nowMs - startMs
    t.comment(`a record by another introducer is believed after ${otherMs} ms, its own after ${ownMs} ms`)
    t.same(known(a), ['late', 'm1'])
    t.ok(otherMs < 12_000, 'no later than without the flood')
    t.ok(ownMs < 15_000)
    t.ok(a.said(/flooder introduces/).length <= 256)
  },
)
