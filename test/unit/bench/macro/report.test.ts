import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { roundTrips } from '../../../../bench/macro/loads/ping.js'
import { SUBJECT } from '../../../../bench/macro/peers/udptun-fast.js'
import { charts } from '../../../../bench/macro/report/charts.js'
import { reservations, spreadWarnings } from '../../../../bench/macro/report/figures.js'
import { markdownReport } from '../../../../bench/macro/report/markdown.js'
import { writeReport } from '../../../../bench/macro/report/write.js'
import { type Results, readResults } from '../../../../bench/macro/results.js'
import { resultsOf, type Shape, UNDERLAY } from '../../../support/bench-results.js'

const SHAPE: Shape = {
  rounds: 5,
  peers: ['underlay', 'article', SUBJECT],
  loads: [
    { name: 'tcp-1', metric: 'bitsPerSecond', beside: ['cpuSecondsPerGigabyte'] },
    { name: 'ping-idle', metric: 'p50Ms', beside: ['p99Ms'] },
  ],
}

/** Steady: this tunnel at 5 to the underlay's 20 and the article's 1, in Gbit/s, drifting together. */
const STEADY = { underlay: 20, article: 1, [SUBJECT]: 5 } as Record<string, number>

function steady(): Results {
  const results = resultsOf(SHAPE, (peer, _, metric, round) => {
    if (metric === 'cpuSecondsPerGigabyte' && peer === 'underlay') return undefined
    return STEADY[peer] * (1 + round / 100) * (metric === 'bitsPerSecond' ? 1e9 : 1)
  })
  results.timelines = SHAPE.peers.map((peer) => ({
    round: 1,
    underlay: UNDERLAY,
    peer,
    load: 'tcp-1',
    points: [
      [0.1, 1e9],
      [0.2, 2e9],
    ],
  }))
  return results
}

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'bench-report-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

t.test('the files of a report', async (t) => {
  const path = folder(t)
  await writeReport(steady(), path)
  t.same(readdirSync(path).sort(), [
    'ping-idle.svg',
    'report.html',
    'report.md',
    'results.json',
    'tcp-1.svg',
    'timeline-mtu-1500-offload-on.svg',
  ])
  t.same(readResults(join(path, 'results.json')), steady(), 'results.json is read back as it was')
})

t.test('the page stands alone', async (t) => {
  const path = folder(t)
  await writeReport(steady(), path)
  const html = readFileSync(join(path, 'report.html'), 'utf8')
  t.equal(html.match(/<svg/g)?.length, 3, 'the pictures are within')
  t.notMatch(html, /<img|<link|<script|url\([^#]|@import/)
  const addresses = [...html.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address]) => address)
  t.same(addresses, [])
  t.match(html, /prefers-color-scheme: dark/)
  t.match(html, /A &lt;fast&gt; one/, 'what was found out is text, not markup')
})

t.test('pictures are well-formed and follow light and dark', async (t) => {
  for (const { file, svg } of charts(steady())) {
    const tags = svg.match(/<[^>]*>/g) ?? []
    t.same(
      tags.filter((tag) => !/^<(\/[\w:]+|[\w:]+( [\w:-]+="[^"<]*")*\s*\/?)>$/.test(tag)),
      [],
      `${file}: every tag is XML`,
    )
    const open: string[] = []
    for (const [, slash, name, rest] of svg.matchAll(/<(\/?)([\w:]+)([^>]*)>/g)) {
      if (slash === '/') t.equal(open.pop(), name, `${file}: ${name} is closed in its turn`)
      else if (!rest.endsWith('/')) open.push(name)
    }
    t.same(open, [])
    t.match(svg, /@media \(prefers-color-scheme:dark\)/)
    t.notMatch(svg, /NaN|undefined/)
    for (const { name } of steady().peers) t.match(svg, name, `${file} shows ${name}`)
  }
})

t.test('every peer has its row, the faster ones too, with ratios taken within rounds', async (t) => {
  const markdown = markdownReport(steady(), charts(steady()))
  t.match(
    markdown,
    /^\| underlay +\| +20\.6 Gbit\/s \| +20\.2 – 21\.0 Gbit\/s \| +0\.25 × \| +0\.25 – 0\.25 × \| +n\/a \|$/m,
  )
  t.match(
    markdown,
    /^\| article +\| +1\.03 Gbit\/s \| +1\.01 – 1\.05 Gbit\/s \| +5\.0 × \| +5\.0 – 5\.0 × \| +1\.03 s\/GB \|$/m,
  )
  t.match(markdown, /^\| \*\*udptun-fast\*\* \| +5\.15 Gbit\/s/m)
  t.match(markdown, '![TCP-1](tcp-1.svg)')
  t.match(markdown, '`npm run bench`')
  t.match(markdown, 'Linux 6.18.0')
  t.match(markdown, '2 cores')
})

t.test('a steady run has no warnings', async (t) => {
  t.same([...reservations(steady()), ...spreadWarnings(steady())], [])
})

t.test('warns where the spread makes a comparison meaningless', async (t) => {
  const wild = resultsOf(SHAPE, (peer, load, _, round) => {
    if (load === 'tcp-1' && peer === SUBJECT) return round % 2 === 0 ? 0.6e9 : 1.4e9
    return STEADY[peer] * 1e9
  })
  const found = spreadWarnings(wild)
  t.match(found, [
    /in 1 of 4 comparisons the rounds do not agree whether udptun-fast is ahead or behind/,
    /in 1 of 6 figures the rounds lie more than 40% apart/,
  ])
  const markdown = markdownReport(wild, [])
  t.match(markdown, /Before you rely on this/)
  t.match(markdown, /1\.4 × article \(undecided\)/, 'said where the ratio is')
  t.match(markdown, /^\| \*\*udptun-fast\*\* .*600 Mbit\/s – 1\.40 Gbit\/s \(!\)/m)
})

t.test('warns of few rounds, a busy machine, failures and peers left out', async (t) => {
  const results = resultsOf({ ...SHAPE, rounds: 2 }, (peer) => STEADY[peer])
  results.machine.loadAverage = 3
  results.failures.push({
    round: 1,
    underlay: UNDERLAY,
    peer: 'article',
    load: 'tcp-1',
    message: 'iperf3: no *route*',
  })
  results.skipped.push({ name: 'tinc', title: 'tinc', reason: 'tincd is not installed' })
  const markdown = markdownReport(results, [])
  t.match(markdown, /2 rounds show no spread/)
  t.match(markdown, /busy before the run \(load average 3\.0\)/)
  t.match(
    markdown,
    String.raw`article, tcp-1, mtu=1500,offload=on failed: iperf3: no \*route\* (in 1 of 2 rounds)`,
  )
  t.match(markdown, /tinc took no part: tincd is not installed\./)
})

t.test('a run in which everything failed still has its report', async (t) => {
  const path = folder(t)
  const nothing = resultsOf(SHAPE, () => undefined)
  nothing.failures.push({
    round: 1,
    underlay: UNDERLAY,
    peer: 'article',
    load: null,
    message: 'did not start',
  })
  await writeReport(nothing, path)
  t.match(readFileSync(join(path, 'report.html'), 'utf8'), 'did not start')
})

t.test('results that are none are refused by name', async (t) => {
  const path = join(folder(t), 'results.json')
  const refused = (content: string, message: RegExp) => {
    writeFileSync(path, content)
    t.throws(() => readResults(path), { message, exitCode: 2 })
  }
  refused('{', /cannot read results from ".*results\.json"/)
  refused('{}', /is not a results\.json of version 1: format/)
  refused(JSON.stringify({ ...steady(), version: 2 }), /of version 1: version/)
  refused(JSON.stringify({ ...steady(), rounds: 'five' }), /rounds/)
})

t.test('round trips are read from what ping prints', async (t) => {
  const output = [
    'PING 198.51.100.2 (198.51.100.2) 56(84) bytes of data.',
    '64 bytes from 198.51.100.2: icmp_seq=1 ttl=64 time=0.213 ms',
    '64 bytes from 198.51.100.2: icmp_seq=3 ttl=64 time=12.1 ms',
    '3 packets transmitted, 2 received, 33% packet loss, time 20ms',
  ].join('\n')
  t.same(roundTrips(output), [0.213, 12.1])
  t.throws(() => roundTrips('3 packets transmitted, 0 received, 100% packet loss'), { message: /no ping/ })
})
