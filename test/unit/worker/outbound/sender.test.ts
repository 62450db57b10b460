import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import {
  EACCES,
  EAGAIN,
  EHOSTUNREACH,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETDOWN,
  ENETUNREACH,
  ENOBUFS,
  EPERM,
} from '../../../../src/linux/errno.js'
import { encodeSockaddr } from '../../../../src/linux/sockaddr.js'
import { C, COUNTERS } from '../../../../src/memory/counters.js'
import { BLOCKED, DONE, MORE } from '../../../../src/worker/port.js'
import { framesOf, PLAIN_FLOW } from '../../../support/frames.js'
import {
  type Asked,
  type Kernel,
  makeSink,
  put,
  received,
  single,
  superFrame,
  textOf,
} from '../../../support/udp-sink.js'

/** What each call comes to, as {@link Kernel} has it; all the others are as ever. */
const answering =
  (...answers: number[]): Kernel =>
  ({ nth, count }) =>
    answers[nth] ?? count

/** Refuses every message that this is true of. */
const refusing =
  (errno: number, bad: (asked: Asked, message: number) => boolean): Kernel =>
  (asked) => {
    let good = 0
    while (good < asked.count && !bad(asked, good)) good++
    return good > 0 ? good : -errno
  }

const DROPS = COUNTERS.filter((name) => name.startsWith('drop'))

/** As long as a full send buffer is waited for, and then some. */
const PATIENCE_MS = 120

t.test('what the kernel has no memory for is counted, and neither sent again nor taken apart', async (t) => {
  const { bytes, l4, frames } = superFrame(100)
  // The first of the two runs of the second super-frame.
  const made = makeSink(t, { peers: 1, kernel: answering(2, -ENOBUFS) })
  put(made, [bytes, bytes], l4)
  made.sink.drain(made.ring)
  t.same(received(made.to), [...frames, ...frames.slice(64)].map(textOf))
  t.same([made.counters[C.dropSendBufferFull], made.droppedFor(0), made.sentTo(0)], [64, 64, 136])
  t.equal(made.calls(), 3)
})

t.test('what a send fails with is believed at once, and no more than that', async (t) => {
  const cases = [
    [ENETUNREACH, 'dropUnreachable'],
    [EHOSTUNREACH, 'dropUnreachable'],
    [ENETDOWN, 'dropUnreachable'],
    [EACCES, 'dropForbidden'],
    [EPERM, 'dropForbidden'],
    [EMSGSIZE, 'dropTooBig'],
    [EINVAL, 'dropSendFailed'],
    [ENOBUFS, 'dropSendBufferFull'],
  ] as const
  for (const [errno, counter] of cases) {
    const made = makeSink(t, { peers: 1, kernel: answering(-errno) })
    put(made, [single(1)])
    made.sink.drain(made.ring)
    t.same([made.counters[C[counter]], made.droppedFor(0), made.calls()], [1, 1, 1], counter)
    put(made, [single(2)])
    made.sink.drain(made.ring)
    t.same(received(made.to), [textOf(single(2))], 'the next batch is sent')
  }
})

t.test('no route is so for all of a batch to a peer, a firewall’s no for one datagram', async (t) => {
  // Each longer than the one before: no run of them.
  const frames = [100, 101, 102].map((bytes) => new Uint8Array(bytes).fill(bytes))
  for (const errno of [ENETUNREACH, EHOSTUNREACH, ENETDOWN, EACCES]) {
    const made = makeSink(t, { peers: 1, kernel: answering(1, -errno) })
    put(made, frames)
    made.sink.drain(made.ring)
    t.same(received(made.to), [textOf(frames[0])], `errno ${errno}`)
    t.same([made.droppedFor(0), made.calls()], [2, 2])
  }
  const made = makeSink(t, { peers: 1, kernel: answering(1, -EPERM) })
  put(made, frames)
  made.sink.drain(made.ring)
  t.same(received(made.to), [frames[0], frames[2]].map(textOf))
  t.same([made.counters[C.dropForbidden], made.droppedFor(0)], [1, 1])
})

t.test('a full send buffer is waited for anew by each batch', async (t) => {
  const made = makeSink(t, { peers: 1, kernel: answering(-EAGAIN, -ENOBUFS, -EAGAIN) })
  put(made, [single(1)])
  t.equal(made.sink.drain(made.ring), BLOCKED)
  made.sink.drain(made.ring)
  t.equal(made.counters[C.dropSendBufferFull], 1)
  await sleep(PATIENCE_MS)
  put(made, [single(2)])
  t.equal(made.sink.drain(made.ring), BLOCKED)
  made.sink.drain(made.ring)
  t.same(received(made.to), [textOf(single(2))])
})

t.test('a peer where nobody listens costs the others nothing', async (t) => {
  const peers = 20
  const made = makeSink(t, { peers })
  for (let row = 1; row < peers; row += 2)
    made.table.setAddress(row, encodeSockaddr(made.family, { address: '127.0.3.1', port: 9 }))
  const frames = Array.from({ length: 50 }, (_, number) => single(2 * number))
  for (const frame of frames) {
    put(made, [frame])
    made.sink.drain(made.ring)
  }
  t.same(
    received(made.to),
    frames.flatMap((frame) => Array<string>(peers / 2).fill(textOf(frame))),
  )
  t.equal(made.counters[C.sentFrames], frames.length * peers)
  t.equal(made.calls(), frames.length, 'no ICMP error has failed a send')
})

t.test('UDP_SEGMENT refused is given up, and every frame arrives once', async (t) => {
  for (const errno of [EIO, EINVAL]) {
    for (const segments of [2, 3, 100]) {
      const { bytes, l4, frames } = superFrame(segments)
      const kernel = refusing(errno, ({ isRun }, message) => isRun(message))
      const made = makeSink(t, { peers: 2, kernel })
      put(made, [bytes, bytes], l4)
      made.sink.drain(made.ring)
      const twice = [...frames, ...frames].map(textOf)
      t.same(received(made.to).sort(), [...twice, ...twice].sort(), `${segments} frames, errno ${errno}`)
      t.equal(made.counters[C.sentFrames], 4 * segments)
      t.equal(made.counters[C.sentBytes], 4 * frames.reduce((all, frame) => all + frame.length, 0))
      t.equal(made.limits.takesRuns(0), false)
    }
  }
})

t.test('UDP_SEGMENT that is refused and then taken is not given up', async (t) => {
  for (const errno of [EIO, EINVAL]) {
    for (const segments of [2, 3, 100]) {
      const { bytes, l4, frames } = superFrame(segments)
      const made = makeSink(t, { peers: 1, kernel: answering(-errno) })
      put(made, [bytes, bytes], l4)
      made.sink.drain(made.ring)
      t.same(received(made.to), [...frames, ...frames].map(textOf), `${segments} frames, errno ${errno}`)
      t.equal(made.limits.takesRuns(0), true)
      t.ok(made.calls() <= 4, `${made.calls()} calls`)
    }
  }
})

t.test('a run that is taken apart goes on where a full send buffer has stopped it', async (t) => {
  const { bytes, l4, frames } = superFrame(100)
  let calls = 0
  const kernel = refusing(EIO, ({ isRun }, message) => isRun(message))
  const made = makeSink(t, { peers: 1, kernel: (asked) => (calls++ % 3 === 2 ? -EAGAIN : kernel(asked)) })
  put(made, [bytes], l4)
  let blocked = 0
  while (made.sink.drain(made.ring) === BLOCKED) blocked++
  t.ok(blocked > 10)
  t.same(received(made.to), frames.map(textOf))
  t.equal(made.counters[C.sentFrames], frames.length)
  t.equal(made.limits.takesRuns(0), false)
})

t.test('of a run that is too long for the way what is shorter arrives', async (t) => {
  // The last of the second run is half as long as the others.
  const { bytes, l4, frames } = superFrame(100)
  for (const errno of [EMSGSIZE, EINVAL]) {
    const made = makeSink(t, {
      peers: 1,
      kernel: (asked) => {
        const tooLong = refusing(asked.isRun(0) ? errno : EMSGSIZE, ({ bytesOf }, it) => bytesOf(it) > 500)
        return tooLong(asked)
      },
    })
    put(made, [bytes], l4)
    made.sink.drain(made.ring)
    t.same(received(made.to), frames.slice(-1).map(textOf))
    t.same([made.counters[C.dropTooBig], made.droppedFor(0), made.sentTo(0)], [99, 99, 1])
    t.equal(made.limits.takesRuns(0), true)
    t.ok(made.calls() < 12, `${made.calls()} calls`)
  }
})

t.test('no way is found out while a run is taken apart: what is left of it is counted', async (t) => {
  const { bytes, l4, frames } = superFrame(60)
  const kernel = refusing(EIO, ({ isRun }, message) => isRun(message))
  const made = makeSink(t, { peers: 1, kernel: (asked) => (asked.nth < 20 ? kernel(asked) : -EPERM) })
  put(made, [bytes, bytes], l4)
  made.sink.drain(made.ring)
  const arrived = received(made.to)
  t.same(arrived, frames.slice(0, arrived.length).map(textOf))
  t.ok(arrived.length > 10)
  t.same([made.sentTo(0), made.counters[C.dropForbidden]], [arrived.length, 120 - arrived.length])
})

t.test('a send buffer that stays full is waited for 100 ms, and what is in hand is dropped', async (t) => {
  const { bytes, l4, frames } = superFrame(100)
  let full = true
  const made = makeSink(t, {
    peers: 1,
    kernel: ({ nth, count }) => (nth > 0 && full ? -EAGAIN : nth === 0 ? 1 : count),
  })
  put(made, [bytes, bytes], l4)
  const startedMs = performance.now()
  while (made.sink.drain(made.ring) === BLOCKED) await sleep(5)
  const tookMs = performance.now() - startedMs
  t.ok(tookMs >= 100 && tookMs < 1_000, `${Math.round(tookMs)} ms`)
  t.same(received(made.to), frames.slice(0, 64).map(textOf), 'the first run had been taken')
  t.same([made.counters[C.dropSendBufferFull], made.droppedFor(0)], [136, 136])
  full = false
  put(made, [bytes], l4)
  made.sink.drain(made.ring)
  t.same(received(made.to), frames.map(textOf))
})

/** What a kernel may do to a call: take some messages, or say so. */
const answer = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(EAGAIN, EHOSTUNREACH, EACCES, ENETDOWN).map((it) => -it),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(EIO, EINVAL, EMSGSIZE, ENOBUFS, ENETUNREACH, EPERM).map((it) => -it),
  },
)

/** The same answer, once or more times. */
const answers = fc
  .array(fc.tuple(answer, fc.integer({ min: 1, max: 6 })), { maxLength: 40 })
  .map((all) => all.flatMap(([it, times]) => Array<number>(times).fill(it)))

t.test('whatever the kernel says, each datagram arrives once and in order, or is counted', async (t) => {
  let script: readonly number[] = []
  let from = 0
  const made = makeSink(t, { peers: 1, kernel: ({ nth, count }) => script[nth - from] ?? count })
  let arrivals = 0
  let losses = 0
  fc.assert(
    fc.property(
      answers,
      fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 5 }),
      (said, sizes) => {
        script = said
        from = made.calls()
        made.counters.fill(0)
        made.limits.allowRuns(0)
        const sent = made.sentTo(0)
        const dropped = made.droppedFor(0)
        const supers = sizes.map((segments, index) => superFrame(segments, 1000 * index))
        const all = supers.flatMap(({ frames }) => frames.map(textOf))
        put(
          made,
          supers.map(({ bytes }) => bytes),
          supers[0].l4,
        )
        for (let turns = 0; made.sink.drain(made.ring) !== DONE; turns++) if (turns > 1_000) return false
        const arrived = received(made.to)
        arrivals += arrived.length
        losses += all.length - arrived.length
        let next = 0
        for (const text of arrived) {
          next = all.indexOf(text, next) + 1
          if (next === 0) return false
        }
        return (
          made.sentTo(0) - sent === arrived.length &&
          made.droppedFor(0) - dropped === all.length - arrived.length &&
          DROPS.reduce((sum, name) => sum + made.counters[C[name]], 0) === all.length - arrived.length
        )
      },
    ),
    { numRuns: 150 },
  )
  t.ok(arrivals > 1_000 && losses > 1_000, `${arrivals} arrived, ${losses} were counted`)
})

t.test('each flow has one of several sockets, and waits for that one if it is full', async (t) => {
  const sent: [socket: number, messages: number][] = []
  let full = 0
  const kernel: Kernel = ({ socket, count }) => {
    if (socket === full) return -EAGAIN
    sent.push([socket, count])
    return count
  }
  const made = makeSink(t, { peers: 1, kernel, target: 0, flowSockets: 4 })
  const frame = (port: number, number: number) => {
    const payload = new Uint8Array(100).fill(number)
    return framesOf({ ...PLAIN_FLOW, ports: [port, 443], id: number }, [{ payload, flags: 0x10 }])[0]
  }
  const flows = Array.from({ length: 16 }, (_, port) => port)
  const twice = [0, 1].flatMap((number) => flows.map((port) => frame(port, number)))
  put(made, twice)
  t.equal(made.sink.drain(made.ring), MORE)
  t.same(received(made.to).sort(), twice.map(textOf).sort())
  t.same([...new Set(sent.map(([socket]) => socket))].sort(), [1, 2, 3, 4], 'all of them but the first')

  sent.length = 0
  const { bytes, l4, frames } = superFrame(10)
  put(made, [bytes], l4)
  t.equal(made.sink.drain(made.ring), MORE)
  t.same(received(made.to), frames.map(textOf))
  t.equal(sent.length, 1, 'a super-frame is one run')

  full = sent[0][0]
  put(made, [bytes], l4)
  t.equal(made.sink.drain(made.ring), BLOCKED)
  t.equal(made.sink.blockedFd, made.fds[full])
  full = 0
  t.equal(made.sink.drain(made.ring), MORE)
  t.same(received(made.to), frames.map(textOf), 'nothing is lost')
})
