import fc from 'fast-check'
import t from 'tap'
import { PathMtuTrace, type TraceOptions, type TraceProbe } from '../../../../src/control/path-mtu/trace.js'

/** What the hops say to the probes of a trace. */
interface Route {
  /** MTUs of the links, the first this host's own. */
  readonly links: readonly number[]
  readonly rttMs: number
  /** Whether routers say that something is too big, and what passes: `old` ones say nothing of that. */
  readonly tooBig: 'told' | 'old' | 'silent'
  /** Whether the far end answers, and at the most how often in a row, one more each second. */
  readonly answers: number
  /** For so long nothing comes through. */
  readonly brokenMs?: number
}

function run(route: Route, options: Partial<TraceOptions> = {}) {
  let nowMs = 5_000
  const startMs = nowMs
  const trace = new PathMtuTrace({ family: 'ipv4', ceilingBytes: route.links[0], ...options }, nowMs)
  const coming: { atMs: number; probe: TraceProbe; tooBig?: number }[] = []
  let probes = 0
  let tokens = route.answers
  let tokensMs = nowMs
  while (trace.result === undefined && nowMs < startMs + 120_000) {
    for (const probe of trace.poll(nowMs)) {
      probes++
      if (nowMs < startMs + (route.brokenMs ?? 0)) continue
      const narrow = route.links.find((mtu) => mtu < probe.sizeBytes)
      const atMs = nowMs + route.rttMs
      if (narrow !== undefined) {
        if (route.tooBig !== 'silent')
          coming.push({ atMs, probe, tooBig: route.tooBig === 'told' ? narrow : 0 })
        continue
      }
      tokens = Math.min(route.answers, tokens + Math.floor((nowMs - tokensMs) / 1_000))
      if (nowMs - tokensMs >= 1_000) tokensMs = nowMs
      if (tokens >= 1) {
        tokens--
        coming.push({ atMs, probe })
      }
    }
    if (trace.result !== undefined) break
    coming.sort((a, b) => a.atMs - b.atMs)
    nowMs = Math.max(nowMs, Math.min(coming[0]?.atMs ?? Number.POSITIVE_INFINITY, trace.nextMs))
    if (coming.length > 0 && coming[0].atMs <= nowMs) {
      const [{ probe, tooBig }] = coming.splice(0, 1)
      if (tooBig === undefined) trace.arrived(probe.id, nowMs)
      else trace.tooBig(probe.id, tooBig)
    }
  }
  return { ...trace.result, tookMs: nowMs - startMs, probes }
}

const told = { rttMs: 2, tooBig: 'told', answers: 6 } as const

t.test('one probe is enough where nothing is in the way', async (t) => {
  t.match(run({ ...told, links: [1500, 1500] }), { mtuBytes: 1500, basis: 'reached', probes: 1, tookMs: 2 })
})

t.test('each narrower link says what passes, one after another', async (t) => {
  const links = [9000, 4352, 1500, 1400, 1500]
  t.match(run({ ...told, links }), { mtuBytes: 1400, basis: 'reached', probes: 4, tookMs: 8 })
})

t.test('what the kernel believes is tried, and not believed', async (t) => {
  t.match(run({ ...told, links: [1500] }, { estimateBytes: 1006 }), { mtuBytes: 1500, basis: 'reached' })
  t.match(run({ ...told, links: [1500, 1400] }, { estimateBytes: 1400 }), {
    mtuBytes: 1400,
    basis: 'reached',
  })
  t.match(run({ ...told, links: [1500] }, { estimateBytes: 552 }), {
    mtuBytes: 1500,
    basis: 'reached',
    probes: 1,
  })
})

t.test('any path whose routers speak is found exactly, within a few round trips', async () => {
  const link = fc.integer({ min: 576, max: 9_216 })
  const property = fc.property(fc.array(link, { minLength: 1, maxLength: 5 }), (links) => {
    const { mtuBytes, basis, tookMs } = run({ ...told, links })
    return mtuBytes === Math.min(...links) && basis === 'reached' && tookMs <= 2 * (links.length + 1)
  })
  fc.assert(property)
})

t.test('where the far end is silent, what the routers say is taken', async (t) => {
  const { mtuBytes, basis, tookMs } = run({ ...told, links: [1500, 1400], answers: 0 })
  t.same({ mtuBytes, basis }, { mtuBytes: 1400, basis: 'told' })
  t.ok(tookMs < 3_000, `${tookMs} ms`)
})

t.test('where all are silent, nothing is known', async (t) => {
  const { mtuBytes, basis, tookMs } = run({ ...told, links: [1500, 1400], tooBig: 'silent', answers: 0 })
  t.same({ mtuBytes, basis }, { mtuBytes: 1500, basis: 'silent' })
  t.ok(tookMs < 3_000, `${tookMs} ms`)
})

t.test('a black hole before an end that answers is halved, no faster than that may answer', async (t) => {
  const size = fc.integer({ min: 576, max: 1_500 })
  const property = fc.property(size, fc.constantFrom(1, 3, 6), (narrow, answers) => {
    const { mtuBytes, basis, tookMs } = run({ ...told, links: [1500, narrow], tooBig: 'silent', answers })
    t.same({ mtuBytes, basis }, { mtuBytes: narrow, basis: 'reached' })
    if (tookMs > 40_000) t.fail(`${tookMs} ms`)
  })
  fc.assert(property, { numRuns: 60 })
})

t.test('a path that does not work at first is not taken for a narrower one', async () => {
  const property = fc.property(
    fc.integer({ min: 0, max: 1_100 }),
    fc.integer({ min: 600, max: 1_500 }),
    (brokenMs, narrow) => {
      const { mtuBytes, basis } = run({ ...told, links: [1500, narrow], brokenMs })
      return mtuBytes === narrow || (basis === 'silent' && mtuBytes === 1500)
    },
  )
  fc.assert(property)
})

t.test('routers that do not say what passes (RFC 1191, 5) are asked by common sizes', async () => {
  const property = fc.property(fc.integer({ min: 576, max: 1_500 }), (narrow) => {
    const { mtuBytes, basis } = run({ ...told, links: [1500, narrow], tooBig: 'old' })
    return mtuBytes === narrow && basis === 'reached'
  })
  fc.assert(property, { numRuns: 100 })
})

t.test('nothing below what any host takes is found, whatever is said', async (t) => {
  t.equal(run({ ...told, links: [1500, 296] }).mtuBytes, 576)
  t.equal(run({ ...told, links: [1500, 1000] }, { family: 'ipv6' }).mtuBytes, 1280)
})

t.test('answers that nobody asked for, and nonsense, do no harm', async () => {
  const event = fc.record({ id: fc.nat(12), tooBig: fc.boolean(), mtu: fc.nat(70_000), afterMs: fc.nat(500) })
  const property = fc.property(fc.array(event, { maxLength: 60 }), (events) => {
    let nowMs = 0
    const trace = new PathMtuTrace({ family: 'ipv4', ceilingBytes: 1500 }, nowMs)
    for (const { id, tooBig, mtu, afterMs } of events) {
      trace.poll(nowMs)
      nowMs += afterMs
      if (tooBig) trace.tooBig(id, mtu)
      else trace.arrived(id, nowMs)
    }
    for (let i = 0; i < 500 && trace.result === undefined; i++) {
      trace.poll(nowMs)
      nowMs = Math.max(nowMs, Math.min(trace.nextMs, nowMs + 60_000))
    }
    const { mtuBytes = 0 } = trace.result ?? {}
    return mtuBytes >= 576 && mtuBytes <= 1500
  })
  fc.assert(property, { numRuns: 2_000 })
})
