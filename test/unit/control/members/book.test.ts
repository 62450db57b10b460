import t from 'tap'
import {
  admit,
  type Book,
  EMPTY,
  heard,
  isOpen,
  type Line,
  tidied,
  withLine,
  withMember,
  without,
} from '../../../../src/control/members/book.js'
import { readBook, writeBook } from '../../../../src/control/members/book-text.js'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const key = (letter: string) => Buffer.alloc(32, letter).toString('base64')
const lineOf = (name: string, letter: string, more: Partial<Line> = {}): Line => ({
  name,
  publicKey: key(letter),
  presharedKey: key('p'),
  addresses: ['10.9.0.2'],
  groups: ['staff'],
  untilMs: DAY,
  usedBy: undefined,
  isWithdrawn: false,
  ...more,
})
const book = withLine(EMPTY, lineOf('alice', 'a'))
const join = (it: Book, line: string, own: string, nowMs = 1_000) =>
  admit(it, key(line), { publicKey: key(own), signingKey: key('g') }, key('s'), nowMs)

t.test('a line is good for one newcomer, and for that one again and again', async (t) => {
  const first = join(book, 'a', 'x')
  t.equal(first.verdict, 'member')
  t.match(first.member, { name: 'alice', publicKey: key('x'), presharedKey: key('s'), joinedMs: 1_000 })
  const again = admit(first.book, key('a'), { publicKey: key('x') }, key('t'), 2_000)
  t.same(again.member, first.member, 'with the same preshared key')
  t.equal(again.book, first.book, 'and nothing is written')
  t.equal(join(first.book, 'a', 'x', 9 * DAY).verdict, 'member', 'also when the line has expired')
  t.equal(join(first.book, 'a', 'y').verdict, 'used')
  t.equal(join(first.book, 'a', 'y', 2 * DAY).verdict, 'used')
})

t.test('a line that is good no more says why', async (t) => {
  t.equal(join(book, 'a', 'x', DAY - 1).verdict, 'member')
  t.equal(join(book, 'a', 'x', DAY).verdict, 'expired')
  t.equal(join(book, 'z', 'x').verdict, 'withdrawn', 'nobody knows it')
  const twice = withLine(book, lineOf('alice', 'b'))
  t.equal(join(twice, 'a', 'x').verdict, 'withdrawn', 'there is another one for alice')
  t.equal(join(twice, 'b', 'x').verdict, 'member')
  const alike = withLine(book, lineOf('Alice', 'b'))
  t.equal(join(alike, 'a', 'x').verdict, 'withdrawn', 'names differ by more than their case')
  const gone = without(join(book, 'a', 'x').book, 'alice')
  t.equal(gone?.members.length, 0)
  t.equal(join(gone ?? EMPTY, 'a', 'x').verdict, 'withdrawn', 'she was taken out')
  t.equal(without(gone ?? EMPTY, 'alice'), undefined)
  t.equal(without(book, 'alice')?.members.length, 0, 'a line alone can be withdrawn, too')
})

t.test('a key is that of one member', async (t) => {
  const both = withLine(join(book, 'a', 'x').book, lineOf('bob', 'b'))
  const refused = join(both, 'b', 'x')
  t.equal(refused.verdict, 'refused')
  t.equal(refused.book, both)
})

t.test('what is over is forgotten after a while', async (t) => {
  t.equal(tidied(book, 0), book)
  t.equal(tidied(book, 2 * DAY), book, 'it is still said why')
  t.same(tidied(book, 9 * DAY).lines, [])
  const many = Array.from({ length: 40 }, (_, at) =>
    lineOf(`m${at}`, 'a', { isWithdrawn: true, untilMs: DAY + at }),
  )
  const kept = tidied({ members: [], lines: [...many, lineOf('alice', 'a')] }, 0)
  t.equal(kept.lines.length, 17, 'of those that are good no more, only some')
  t.ok(kept.lines.some((it) => isOpen(it, 0)))
})

t.test('a client of WireGuard must come in time, and stays then', async (t) => {
  const client = {
    name: 'phone',
    publicKey: key('c'),
    presharedKey: key('p'),
    addresses: ['10.9.0.9'],
    groups: [],
    joinedMs: 0,
    seenMs: undefined,
    untilMs: DAY,
    isWireGuard: true,
  }
  const there = withMember(EMPTY, client)
  t.equal(tidied(there, DAY - 1), there)
  t.same(tidied(there, DAY).members, [])
  const came = heard(there, new Map([[key('c'), HOUR]]))
  t.match(came.members[0], { seenMs: HOUR, untilMs: undefined })
  t.equal(tidied(came, 99 * DAY).members.length, 1)
})

t.test('the file holds all of it', async (t) => {
  const all = withLine(join(book, 'a', 'x').book, lineOf('bob', 'b', { untilMs: 5_000 }))
  t.same(readBook(writeBook(all)), all)
  t.same(readBook(writeBook(EMPTY)), EMPTY)
  t.equal(readBook(writeBook(all).slice(0, -20)), 'is not whole')
  t.match(readBook(writeBook(all).replace('"version": 1', '"version": 2')), /is of version 2/)
  t.match(readBook(writeBook(all).replace('10.9.0.2', 'nowhere')), /is not right at members.0.addresses.0/)
  t.match(readBook(writeBook(all).replace(key('x'), 'short')), /is not right at members.0.public_key/)
  t.match(readBook('[]'), /is of version/)
})
