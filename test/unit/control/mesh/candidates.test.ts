import t from 'tap'
import { type Candidate, Candidates, type WayNow } from '../../../../src/control/mesh/candidates.js'

const lan: Candidate = { key: '10.0.0.3:5149', rank: 'lan' }
const ipv6: Candidate = { key: '[2001:db8::3]:5149', rank: 'ipv6' }
const outer: Candidate = { key: '203.0.113.3:5149', rank: 'outer' }
const other: Candidate = { key: '198.51.100.3:5149', rank: 'outer' }

const TICK_MS = 100

/** Lets time pass. @param answers which candidates answer, and after how many ms; the way in use carries if it does */
function run(
  candidates: Candidates,
  options: {
    readonly present: Candidate | undefined
    readonly answers: ReadonlyMap<Candidate, number>
    readonly fromMs?: number
    readonly forMs: number
    readonly sends?: boolean
    readonly allows?: () => boolean
  },
) {
  let { present } = options
  const { answers, fromMs = 0, forMs, sends = false, allows = () => true } = options
  const checks: { readonly atMs: number; readonly key: string }[] = []
  const moves: { readonly atMs: number; readonly key: string }[] = []
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += TICK_MS) {
    const way: WayNow = {
      nowMs,
      present,
      heard: present !== undefined && answers.has(present) && (sends || nowMs % 5_000 === 0),
      sent: sends,
      roundTripMs: present && answers.get(present),
      allows,
    }
    const duty = candidates.tick(way)
    for (const it of duty.checks) {
      checks.push({ atMs: nowMs, key: it.key })
      const roundTripMs = answers.get(it)
      if (roundTripMs !== undefined) candidates.answered(it.key, roundTripMs, nowMs)
    }
    if (duty.move === undefined) continue
    present = duty.move
    moves.push({ atMs: nowMs, key: present.key })
    candidates.moved(nowMs)
  }
  return { present, checks, moves }
}

const made = (decides: boolean, ...all: readonly Candidate[]) => {
  const candidates = new Candidates(decides)
  candidates.set(all, 0)
  return candidates
}

const answering = (...all: readonly Candidate[]) => new Map(all.map((it) => [it, 20]))

t.test('the best that answers is taken, and then only what is as good is still asked', async (t) => {
  const candidates = made(true, outer, ipv6, lan)
  const first = run(candidates, { present: outer, answers: answering(outer, ipv6, lan), forMs: 1_000 })
  t.equal(first.present, lan)
  t.equal(first.moves.at(-1)?.key, lan.key)
  const later = run(candidates, {
    present: lan,
    answers: answering(outer, ipv6, lan),
    fromMs: 1_000,
    forMs: 300_000,
  })
  t.same(later, { present: lan, checks: [], moves: [] })
})

t.test('through a relay, whatever answers directly is better', async (t) => {
  for (const decides of [true, false])
    t.equal(
      run(made(decides, outer), { present: undefined, answers: answering(outer), forMs: 1_000 }).present,
      outer,
    )
})

t.test('the end that does not decide asks, too, but stays', async (t) => {
  const { checks, moves } = run(made(false, outer, lan), {
    present: outer,
    answers: answering(outer, lan),
    forMs: 60_000,
  })
  t.same(moves, [])
  t.ok(checks.length >= 5, `${checks.length} checks`)
  t.ok(checks.every(({ key }) => key === lan.key))
})

t.test('what does not answer is asked less and less', async (t) => {
  const { checks, moves } = run(made(true, outer, lan), {
    present: outer,
    answers: answering(outer),
    forMs: 600_000,
  })
  t.same(moves, [])
  t.ok(checks.length < 30, `${checks.length} checks in ten minutes`)
  t.ok(checks.filter(({ atMs }) => atMs >= 300_000).length >= 9, 'but for ever')
})

t.test('a way that is lost is left by both ends in a few seconds', async (t) => {
  for (const decides of [true, false])
    for (const sends of [true, false]) {
      const candidates = made(decides, outer, lan)
      run(candidates, { present: lan, answers: answering(outer, lan), forMs: 60_000, sends })
      const { present, moves } = run(candidates, {
        present: lan,
        answers: answering(outer),
        fromMs: 60_000,
        forMs: 30_000,
        sends,
      })
      t.equal(present, outer)
      const tookMs = moves[0].atMs - 60_000
      t.ok(tookMs <= (sends ? 4_500 : 25_000), `${tookMs} ms, ${sends ? 'busy' : 'idle'}`)
    }
})

t.test('a way that is only quiet for a moment stays', async (t) => {
  const candidates = made(true, outer, lan)
  const answers = answering(outer, lan)
  run(candidates, { present: lan, answers, forMs: 10_000, sends: true })
  run(candidates, { present: lan, answers: answering(outer), fromMs: 10_000, forMs: 2_500, sends: true })
  const { moves } = run(candidates, { present: lan, answers, fromMs: 12_500, forMs: 10_000, sends: true })
  t.same(moves, [])
})

t.test('of two of one rank, only one that is much faster is taken', async (t) => {
  const speeds = (present: number, rival: number) =>
    new Map([
      [outer, present],
      [other, rival],
    ])
  const taken = (present: number, rival: number) =>
    run(made(true, outer, other), { present: outer, answers: speeds(present, rival), forMs: 60_000 }).present
  t.equal(taken(100, 20), other)
  t.equal(taken(100, 80), outer)
  t.equal(taken(2, 1), outer, 'a millisecond is nothing')
})

t.test('new candidates are asked at once; telling of others all the time does not help', async (t) => {
  const candidates = made(true, lan)
  let checks = 0
  for (let nowMs = 0; nowMs < 60_000; nowMs += TICK_MS) {
    if (nowMs % 1_000 === 0) candidates.set([lan, { key: `203.0.113.3:${nowMs}`, rank: 'lan' }], nowMs)
    const { checks: now } = candidates.tick({
      nowMs,
      present: outer,
      heard: true,
      sent: false,
      roundTripMs: 20,
      allows: () => true,
    })
    checks += now.filter(({ key }) => key === lan.key).length
  }
  t.ok(checks <= 62, `${checks} checks of one place in a minute`)
})

t.test('a check that may not go now is not counted, and goes as soon as it may', async (t) => {
  const candidates = made(true, outer, lan)
  const options = { present: outer, answers: answering(outer) }
  const none = run(candidates, { ...options, forMs: 60_000, allows: () => false })
  t.same(none.checks, [])
  const { checks } = run(candidates, { ...options, fromMs: 60_000, forMs: 2_000 })
  t.same(
    checks.map(({ atMs }) => atMs - 60_000),
    [0, 300, 800, 1_800],
  )
})
