import { readFileSync } from 'node:fs'
import t from 'tap'
import type { Kernel } from '../../kernels/kernels.js'
import { Reader } from '../../kernels/reader.js'
import { merge, pageOf, type Row, rowsOf } from '../../kernels/results.js'

const row = (change: Partial<Row>): Row => ({
  kernel: '6.1',
  release: '6.1.0-1-amd64',
  date: '2026-01-02',
  check: 'plain',
  title: 'TCP',
  outcome: 'passed',
  seen: '3 Mbit/s',
  seconds: '4.5',
  ...change,
})

t.test('a page gives its rows back', async (t) => {
  const rows = [
    row({}),
    row({ title: 'UDP', outcome: 'failed', seen: 'lost' }),
    row({ check: 'pmtu', seen: '' }),
  ]
  t.same(rowsOf(pageOf(rows, 'a version')), rows)
  t.same(rowsOf(pageOf([row({ seen: 'a|b\n c' })], ''))[0].seen, 'a/b c', 'a cell stays one')
  t.same(rowsOf(''), [])
})

t.test('new rows replace those of the same kernel and check, and what was never run is said', async (t) => {
  const old = [row({}), row({ title: 'gone' }), row({ check: 'pmtu' }), row({ kernel: '6.12' })]
  const all = merge(old, [row({ seen: 'new' })], ['plain', 'pmtu'])
  const of = (kernel: string) => all.filter((it) => it.kernel === kernel)
  t.same(of('6.1'), [row({ seen: 'new' }), row({ check: 'pmtu' })])
  t.match(of('6.12'), [
    { check: 'plain', outcome: 'passed' },
    { check: 'pmtu', outcome: 'not run' },
  ])
  t.match(of('5.10'), [{ outcome: 'not run' }, { outcome: 'not run' }])
  t.match(merge([], [], ['plain'])[0], { check: 'plain', title: '', outcome: 'not run' })
})

t.test('a part of a check that one kernel has not come to is said', async (t) => {
  const failed = row({ title: 'the file', outcome: 'failed' })
  const all = merge([row({}), row({ title: 'UDP' }), failed, row({ kernel: '6.12' })], [], ['plain'])
  t.same(
    all.filter(({ kernel }) => kernel === '6.12').map(({ title, outcome }) => [title, outcome]),
    [
      ['TCP', 'passed'],
      ['UDP', 'not run'],
    ],
  )
})

t.test('the page of the project has each check under each kernel, and nothing has failed', async (t) => {
  const rows = rowsOf(readFileSync('test/kernels/RESULTS.md', 'utf8'))
  t.ok(rows.length > 100)
  const checks = [...new Set(rows.map(({ check }) => check))]
  const all = merge(rows, [], checks)
  t.same(
    all.filter(({ outcome }) => outcome === 'not run' || outcome === 'failed'),
    [],
  )
})

t.test('a check that was broken off replaces only what it came to', async (t) => {
  const old = [row({}), row({ title: 'UDP' })]
  const all = merge(old, [row({ seen: 'new' })], ['plain'], 'plain').filter(({ kernel }) => kernel === '6.1')
  t.same(all, [row({ seen: 'new' }), row({ title: 'UDP' })])
  const reader = new Reader(KERNEL, '', () => {})
  const take = (line: object) => reader.take(JSON.stringify(line))
  t.notOk(take({ check: 'plain' }))
  t.ok(take(PASSED))
  t.equal(reader.unfinished, 'plain')
  t.ok(take({ check: 'plain', code: 0 }))
  t.equal(reader.unfinished, undefined)
})

const KERNEL: Kernel = { name: '6.1', release: 'r', version: 'v', image: 'i', modules: 'm', root: '/' }

function read(...lines: object[]): [title: string, outcome: string, seen: string][] {
  const reader = new Reader(KERNEL, '2026-01-02', () => {})
  for (const line of lines) reader.take(JSON.stringify(line))
  return reader.end(['plain']).map(({ title, outcome, seen }) => [title, outcome, seen])
}

const PASSED = { title: 'TCP', outcome: 'passed', seen: 's', seconds: 1 }

t.test('what a guest prints becomes rows', async (t) => {
  const begins = [{ release: '6.1' }, { check: 'plain' }, { begins: 'TCP' }]
  t.same(read(...begins, PASSED, { check: 'plain', code: 0, tun_users: '0' }), [['TCP', 'passed', 's']])
  t.same(
    read(...begins, PASSED, { check: 'plain', code: 0, tun_users: '2' }).at(-1),
    ['what is left', 'failed', 'the module tun has 2 users'],
    'a device that is left',
  )
  t.same(read(...begins, { check: 'plain', code: 124 }), [['TCP', 'failed', 'it did not end in time']])
  t.same(read(...begins, PASSED, { check: 'plain', code: 1 }).at(-1), [
    'the file',
    'failed',
    'it ended with 1',
  ])
  t.same(read(...begins), [['TCP', 'failed', 'the guest ended or stood still']])
  t.same(read({ release: '6.1' }), [['all', 'failed', 'the guest did not come to it']])
})

t.test('a line that is no JSON is said, and no more', async (t) => {
  const said: string[] = []
  const reader = new Reader(KERNEL, '', (line) => said.push(line))
  reader.take('Segmentation fault')
  t.same(said, ['not understood: Segmentation fault'])
})
