import fc from 'fast-check'
import t from 'tap'
import { PeerLife } from '../../../../src/control/peer/liveness.js'

/** A peer on a clock of its own, looked at once a second, and what becomes of it. */
class Peer {
  readonly life = new PeerLife({ nowMs: 0, sentFrames: 0, receivedFrames: 0 })
  readonly hellos: number[] = []
  readonly locates: number[] = []
  seconds = 0
  #sent = 0
  #received = 0

  get counts() {
    return { sentFrames: this.#sent, receivedFrames: this.#received }
  }

  /** Frames come from it, and are not looked at yet. */
  send(frames: number): this {
    this.#received += frames
    return this
  }

  /** `seconds` more, in which it does as it is told. */
  for(
    seconds: number,
    does: { answers?: boolean; sends?: number; gets?: number; asks?: boolean; helloMs?: number },
  ): this {
    for (let i = 0; i < seconds; i++, this.seconds++) {
      this.#received += does.sends ?? 0
      this.#sent += does.gets ?? 0
      const nowMs = this.seconds * 1000
      const { hello, locate } = this.life.tick({
        nowMs,
        sentFrames: this.#sent,
        receivedFrames: this.#received,
        asks: does.asks ?? false,
        ...(does.helloMs === undefined ? {} : { helloMs: does.helloMs }),
      })
      if (hello) this.hellos.push(this.seconds)
      if (locate) this.locates.push(this.seconds)
      if (hello && does.answers) this.life.answered(nowMs + 1)
    }
    return this
  }
}

t.test('an idle peer that answers is up, and asked once in 5 s', async (t) => {
  const peer = new Peer().for(60, { answers: true })
  t.equal(peer.life.state, 'up')
  t.equal(peer.life.answersHello, true)
  t.ok(peer.hellos.length >= 10 && peer.hellos.length <= 12, `${peer.hellos}`)
  t.same(peer.locates, [])
})

t.test('a peer from which frames come need not be asked', async (t) => {
  const peer = new Peer().for(2, { answers: true }).for(100, { answers: true, sends: 3 })
  t.same(peer.hellos, [0])
})

t.test(
  'a peer that answered and is gone is silent within 12 s, down within 20 s, and up at once',
  async (t) => {
    const peer = new Peer().for(30, { answers: true })
    const seen = new Map<string, number>()
    for (let second = 0; second < 30; second++) {
      const { state } = peer.for(1, {}).life
      if (!seen.has(state)) seen.set(state, second)
    }
    t.same([...seen.keys()], ['up', 'silent', 'down'])
    t.ok((seen.get('silent') ?? 99) <= 12, `silent after ${seen.get('silent')} s`)
    t.ok((seen.get('down') ?? 99) <= 20, `down after ${seen.get('down')} s`)
    const hellos = peer.hellos.length
    peer.for(60, {})
    t.ok(peer.hellos.length > hellos + 9, 'it is asked on')
    t.equal(peer.for(1, { sends: 1 }).life.state, 'up', 'whatever comes from it will do')
  },
)

t.test('an end that answers no keepalives is asked a few times and then no more', async (t) => {
  const peer = new Peer().for(300, { sends: 1, gets: 1 })
  t.equal(peer.life.state, 'up')
  t.equal(peer.life.answersHello, false)
  t.equal(peer.hellos.length, 3)
})

t.test('nor is it silent while nothing is asked of it', async (t) => {
  const peer = new Peer().for(10, { sends: 1 }).for(1000, {})
  t.equal(peer.life.state, 'up')
  t.same(peer.locates, [])
})

t.test(
  'it is silent when frames have gone there for 30 s and none came, and looked for once in 30 s',
  async (t) => {
    const peer = new Peer().for(10, { sends: 1, gets: 1 })
    t.equal(peer.for(29, { gets: 1 }).life.state, 'up')
    t.equal(peer.for(3, { gets: 1 }).life.state, 'silent')
    peer.for(88, { gets: 1 })
    t.equal(peer.locates.length, 3)
    t.same(
      peer.locates.slice(1).map((at, index) => at - peer.locates[index]),
      [30, 30],
    )
  },
)

t.test('one that was never heard is new, asked ever more rarely, and looked for after 10 s', async (t) => {
  const peer = new Peer().for(600, { gets: 1 })
  t.equal(peer.life.state, 'new')
  t.equal(peer.life.answersHello, undefined)
  const pauses = peer.hellos.slice(1).map((at, index) => at - peer.hellos[index])
  t.same(
    pauses,
    [...pauses].sort((a, b) => a - b),
  )
  t.same([pauses[0], pauses.at(-1)], [1, 60])
  t.same(peer.locates.slice(0, 2), [10, 40])
})

t.test('one that answers no handshake is looked for, although no frame can be sent to it', async (t) => {
  const peer = new Peer().for(60, { asks: true })
  t.equal(peer.life.state, 'new')
  t.same(peer.locates, [10, 40])
  t.same(new Peer().for(60, {}).locates, [])
})

t.test('one that has moved is asked at once', async (t) => {
  const peer = new Peer().for(300, { sends: 1 })
  const before = peer.hellos.length
  peer.life.moved(peer.counts)
  peer.for(1, { sends: 1, answers: true })
  t.equal(peer.hellos.length, before + 1)
  t.equal(peer.life.answersHello, true)
})

t.test('what came from where it was does not count where it is now', async (t) => {
  const peer = new Peer().for(20, { answers: true }).for(12, {})
  t.equal(peer.life.state, 'silent')
  peer.send(1).life.moved(peer.counts)
  t.equal(peer.for(1, {}).life.state, 'silent')
  t.equal(peer.send(1).for(1, {}).life.state, 'up')
})

t.test('what it was asked before it was there does not count against it', async (t) => {
  const peer = new Peer().for(100, {}).for(1, { sends: 1 }).for(3, { answers: true })
  t.equal(peer.life.answersHello, true)
})

t.test('a keepalive from an end that was given up has it asked again', async (t) => {
  const peer = new Peer().for(100, { sends: 1 })
  t.equal(peer.life.answersHello, false)
  peer.life.asked(peer.seconds * 1000)
  t.equal(peer.life.answersHello, true)
  t.equal(peer.for(30, {}).life.state, 'down', 'and known to answer')
})

t.test(
  'whatever it does, it is never asked more than once in a second, and down only if it answered',
  async (t) => {
    const second = fc.record({ answers: fc.boolean(), sends: fc.nat(1), gets: fc.nat(1) })
    const property = fc.property(fc.array(second, { maxLength: 200 }), (seconds) => {
      const peer = new Peer()
      let answered = false
      for (const does of seconds) {
        const hellos = peer.hellos.length
        peer.for(1, does)
        if (peer.hellos.length > hellos && does.answers) answered = true
        if (peer.hellos.length > hellos + 1) return false
        if (peer.life.state === 'down' && !answered) return false
        if (does.sends > 0 && peer.life.state !== 'up') return false
      }
      return true
    })
    t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }))
  },
)

t.test(
  'an idle peer that is one of many is asked once in 19 s, and sooner if it owes an answer',
  async (t) => {
    const quiet = { helloMs: 19_000, answers: true }
    const idle = new Peer().for(120, quiet)
    const pauses = idle.hellos.slice(2).map((at, index) => at - idle.hellos[index + 1])
    t.ok(
      pauses.every((it) => it >= 19 && it <= 20),
      `${idle.hellos}`,
    )
    t.equal(idle.life.state, 'up')

    const gone = new Peer().for(60, quiet)
    const from = gone.seconds
    const seen = new Map<string, number>()
    for (let second = 0; second < 40; second++) {
      const { state } = gone.for(1, { helloMs: 19_000 }).life
      if (!seen.has(state)) seen.set(state, second)
    }
    t.same([...seen.keys()], ['up', 'silent', 'down'])
    t.ok((seen.get('down') ?? 99) <= 32, `down after ${seen.get('down')} s`)
    const [first, second, third] = gone.hellos.filter((at) => at >= from)
    t.same([second - first, third - second], [5, 5], 'once it owes an answer, it is asked as others are')

    const busy = new Peer().for(60, quiet)
    const begin = busy.seconds
    busy.for(12, { helloMs: 19_000, gets: 1 })
    t.ok(busy.hellos.filter((at) => at >= begin).length >= 2, 'while frames go to it, too')
  },
)
