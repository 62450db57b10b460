import t, { type Test } from 'tap'
import { UserError } from '../../../../src/errors.js'
import { DEVICE, FLOOD } from '../../../../src/memory/target.js'
import { writeControl } from '../../../../src/wire/control.js'
import { datagrams, WorkerPair } from '../../../support/worker-pair.js'

/** Longer than a takeover needs that nothing holds up, by far. */
const HELD_MS = 60

/** Of MACs the four last bytes; the first two are 02:00. */
const HOST = 1
const BEHIND_PEER = 2

function frame(to: number, from: number, mark = 0): Buffer {
  const bytes = Buffer.alloc(80, mark)
  for (const [at, low] of [
    [0, to],
    [6, from],
  ]) {
    bytes.writeUInt16BE(0x0200, at)
    bytes.writeUInt32BE(low, at + 2)
  }
  bytes.writeUInt16BE(0x1234, 12)
  return bytes
}

/** Two workers, and in row 0 a peer that is about to go. */
function makePair(t: Test, isPrivate: boolean) {
  const pair = new WorkerPair(t, isPrivate)
  const old = pair.openPeer()
  pair.rows.take()
  pair.join(0, old)
  /** A new peer comes to row 0, moves twice, so that both places of its address are written to, and has keys. */
  const takeOver = (t: Test) => {
    pair.rows.take()
    t.equal(pair.rows.take(), 0, 'the row is free')
    const heir = pair.openPeer()
    for (let moves = 0; moves < 3; moves++) pair.join(0, heir)
    if (isPrivate) pair.key(0)
    pair.step()
    return heir
  }
  return { pair, old, takeOver }
}

t.test('a row is free when both workers have come by, and not before', async (t) => {
  const { pair } = makePair(t, true)
  t.equal(pair.rows.take(), 1)
  pair.leave(0)
  t.equal(pair.rows.take(), undefined)
  t.notOk(await pair.settles(HELD_MS, () => pair.step('tap')))
  t.notOk(await pair.settles(HELD_MS, () => pair.step('udp')), 'each once, and that was before the other')
  t.equal(pair.rows.take(), undefined)
  t.ok(await pair.settles())
  t.equal(pair.rows.take(), 0)
})

t.test('rows that are retired meanwhile become free as well, the first first', async (t) => {
  const { pair } = makePair(t, false)
  pair.join(1, pair.openPeer())
  t.equal(pair.rows.take(), 1)
  pair.leave(1)
  const first = pair.settles()
  pair.leave(0)
  const second = pair.settles()
  t.ok(await first)
  t.ok(await second)
  t.same([pair.rows.take(), pair.rows.take(), pair.rows.take()], [1, 0, undefined])
})

t.test('when the tunnel stops nobody waits any more', async (t) => {
  const { pair } = makePair(t, false)
  pair.leave(0)
  const settled = Promise.resolve(pair.rows.settle())
  pair.rows.close()
  await t.rejects(settled, new UserError('the tunnel stops'))
  t.throws(() => pair.rows.throwIfClosed(), new UserError('the tunnel stops'))
  t.equal(pair.rows.take(), 1)
  t.equal(pair.rows.take(), undefined)
})

t.test('frames that wait for keys, in either worker, wait for nobody else', async (t) => {
  const { pair, old, takeOver } = makePair(t, true)
  pair.send(frame(BEHIND_PEER, HOST))
  pair.step('tap')
  // Of this one the other worker is to take care.
  t.ok(pair.rings.outbound.tryLock())
  pair.send(frame(BEHIND_PEER, HOST))
  pair.step('tap')
  pair.rings.outbound.unlock()
  pair.step('udp')
  t.ok(pair.keypairs.takeWant(0))
  t.equal(pair.count('dropNoKeypair'), 0, 'they wait')
  pair.leave(0)
  t.ok(await pair.settles())
  t.same([pair.count('dropNoKeypair'), pair.countOf(0, 'droppedOutbound')], [2, 2])
  const heir = takeOver(t)
  t.same([datagrams(heir.fd), datagrams(old.fd)], [[], []])
  pair.send(frame(BEHIND_PEER, HOST))
  pair.step()
  t.equal(datagrams(heir.fd).length, 1, 'what is for it comes')
})

t.test('a frame of a record in hand may come to wait for keys when they have gone', async (t) => {
  const { pair, old, takeOver } = makePair(t, true)
  pair.key(0)
  pair.step()
  pair.limits.set(0, 100, 2000)
  pair.send(frame(BEHIND_PEER, HOST))
  for (let turns = 0; pair.countOf(0, 'sentFrames') === 0 && turns < 4; turns++) pair.turn('tap')
  pair.full = true
  // While frames come fast they are of one record. The second here may be fragmented, and so cannot go with the
  // first; where it goes is decided when the send buffer is found full.
  pair.send(frame(BEHIND_PEER, HOST))
  pair.send(Buffer.concat([frame(BEHIND_PEER, HOST), Buffer.alloc(100)]))
  pair.step('tap')
  pair.leave(0)
  t.notOk(await pair.settles(HELD_MS))
  t.equal(pair.count('dropNoKeypair'), 0)
  pair.full = false
  t.ok(await pair.settles())
  t.same([pair.count('dropNoKeypair'), pair.countOf(0, 'droppedOutbound')], [1, 1])
  const heir = takeOver(t)
  t.same([datagrams(old.fd).length, datagrams(heir.fd).length], [2, 0])
})

t.test('what has waited for keys and is in hand, the send buffer being full, keeps its row', async (t) => {
  const { pair, old, takeOver } = makePair(t, true)
  pair.send(frame(BEHIND_PEER, HOST))
  pair.step()
  pair.key(0)
  pair.full = true
  pair.step()
  t.ok(pair.rings.outbound.isEmpty, 'it is of no record')
  pair.leave(0)
  t.notOk(await pair.settles(HELD_MS))
  pair.full = false
  pair.step()
  t.equal(datagrams(old.fd).length, 1, 'it goes to whom it is for, with no other frame to take it along')
  t.ok(await pair.settles())
  t.same([pair.countOf(0, 'sentFrames'), pair.countOf(0, 'droppedOutbound')], [1, 0])
  t.same(datagrams(takeOver(t).fd), [])
  t.equal(pair.countOf(0, 'sentFrames'), 1, "it is not counted as the new peer's")
})

t.test('a send buffer that stays full is waited for as long as ever, and no longer', async (t) => {
  const { pair, takeOver } = makePair(t, true)
  pair.send(frame(BEHIND_PEER, HOST))
  pair.step()
  pair.key(0)
  pair.full = true
  pair.step()
  pair.leave(0)
  t.ok(await pair.settles())
  t.equal(pair.count('dropSendBufferFull'), 1)
  pair.full = false
  t.same(datagrams(takeOver(t).fd), [])
})

t.test('a plain frame in hand goes to the address that it was for', async (t) => {
  const { pair, old, takeOver } = makePair(t, false)
  pair.full = true
  pair.send(frame(BEHIND_PEER, HOST, 7))
  pair.step()
  pair.leave(0)
  t.notOk(await pair.settles(HELD_MS))
  pair.full = false
  t.ok(await pair.settles())
  const heir = takeOver(t)
  t.same([datagrams(old.fd), datagrams(heir.fd)], [[frame(BEHIND_PEER, HOST, 7)], []])
})

t.test('a send buffer that is full whenever main rings holds no row up', async (t) => {
  const { pair, takeOver } = makePair(t, false)
  const other = pair.openPeer()
  pair.join(1, other)
  const sendMore = () => {
    // Main has rung while the frame sent before was in hand.
    pair.step()
    pair.full = false
    pair.turn('tap')
    pair.full = true
    pair.send(frame(BEHIND_PEER, HOST))
    pair.step()
  }
  sendMore()
  pair.leave(0)
  t.ok(await pair.settles(undefined, sendMore))
  pair.full = false
  t.same(datagrams(takeOver(t).fd), [])
  t.ok(datagrams(other.fd).length > 2)
})

for (const isPrivate of [false, true]) {
  t.test(`what has come from a peer is not another's: ${isPrivate ? 'private' : 'plain'}`, async (t) => {
    const { pair, old, takeOver } = makePair(t, isPrivate)
    const say = (bytes: Uint8Array) => {
      if (!isPrivate) return pair.sendFrom(old, bytes)
      pair.send(bytes)
      pair.step('tap')
      // It was only sealed here. Its source is not on this side.
      pair.fdb.forget(DEVICE)
      for (const sealed of datagrams(old.fd)) pair.sendFrom(old, sealed)
    }
    if (isPrivate) pair.key(0)
    pair.step()
    t.ok(pair.rings.inbound.tryLock())
    say(frame(HOST, BEHIND_PEER))
    if (isPrivate) pair.sendFrom(old, Buffer.alloc(0))
    else say(writeControl('tap', { type: 'hello', token: 1n, sizeBytes: 0 }))
    pair.step('udp')
    pair.leave(0)
    t.notOk(await pair.settles(HELD_MS), 'a record names the row')
    t.equal(pair.received().length, 0)
    pair.rings.inbound.unlock()
    if (!isPrivate) {
      t.notOk(await pair.settles(HELD_MS), 'main has not looked at the control frame yet')
      t.ok(pair.fdb.countOf(0) === 0, 'what has been learnt meanwhile is forgotten')
      t.same(pair.takeControl(), [0])
    }
    t.ok(await pair.settles())
    t.equal(pair.received().length, 0, 'a frame of somebody who has left goes nowhere')
    t.equal(pair.fdb.find(0x0200, BEHIND_PEER), FLOOD)
    const heir = takeOver(t)
    const other = pair.openPeer()
    pair.join(1, other)
    if (isPrivate) pair.key(1)
    pair.step()
    for (const it of [heir, other, old]) datagrams(it.fd)
    pair.send(frame(BEHIND_PEER, HOST))
    pair.step()
    const came = [heir, other, old].map((it) => datagrams(it.fd).length)
    t.same(came, [1, 1, 0], 'nobody knows where that address is')
  })
}

t.test('a datagram from the address of a peer that has gone is from nobody', async (t) => {
  const { pair, old, takeOver } = makePair(t, false)
  pair.sendFrom(old, frame(HOST, BEHIND_PEER))
  pair.step()
  t.equal(pair.countOf(0, 'receivedFrames'), 1)
  pair.leave(0)
  t.ok(await pair.settles())
  const name = pair.nameOf(old)
  t.notOk(pair.table.isFrom(0, name), 'the row has no address')
  takeOver(t)
  pair.sendFrom(old, frame(HOST, BEHIND_PEER))
  pair.step()
  t.same([pair.countOf(0, 'receivedFrames'), pair.count('dropForeign')], [1, 1])
})

t.test('what workers had main know, and main the workers, is of nobody who has the row later', async (t) => {
  const { pair } = makePair(t, true)
  pair.limits.set(0, 1000, 1280)
  for (let frames = 0; pair.storm.allows(0, 100); frames += 100) if (frames > 1e6) t.fail('there is a limit')
  pair.leave(0)
  const settled = pair.settles()
  // By what was decided before.
  pair.keypairs.want(0)
  pair.keypairs.move(0, 0)
  pair.limits.refuseRuns(0)
  t.ok(await settled)
  t.notOk(pair.keypairs.takeWant(0))
  t.ok(pair.keypairs.want(0), 'main is told of the first frame of the new one')
  t.equal(pair.keypairs.takeMove(0), undefined)
  t.ok(pair.limits.takesRuns(0))
  t.same([pair.limits.whole(0) > 65_536, pair.limits.fragmented(0)], [true, 0])
  t.ok(pair.storm.allows(0, 100))
})
