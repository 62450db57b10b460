import { randomBytes } from 'node:crypto'
import t from 'tap'
import { Directory, MAX_ENTRIES } from '../../../../src/control/discovery/directory.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'
import type { Signatures } from '../../../../src/control/discovery/verdict.js'
import { formatKey } from '../../../../src/key-text.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const value = (port = 1, publicKey: Uint8Array = randomBytes(32)) =>
  formatValue({
    name: '',
    publicKey: Uint8Array.from(publicKey),
    networks: [],
    endpoints: [{ address: Uint8Array.of(192, 0, 2, 1), port }],
  })

/** All, at the start. */
const WHOLE = { nowMs: 0, awayMs: 0, isWhole: true }

function directory(signatures?: Signatures) {
  const news: string[] = []
  const alive = { keys: new Set<string>(), asked: 0 }
  const it = new Directory({
    graceMs: 1_000,
    ownName: 'me',
    signatures: () => signatures,
    told: (name, member) => void news.push(`${member === undefined ? '-' : '+'}${name}`),
    refused: (why) => void news.push(why),
    alive: () => {
      alive.asked++
      return alive.keys
    },
  })
  return { it, news, alive, take: () => news.splice(0) }
}

t.test('who is gone stays for the grace time, and while there is a session', async (t) => {
  const { it, take, alive } = directory()
  const key = randomBytes(32)
  it.put('a', value(1, key), 0)
  it.put('me', value(), 0)
  t.same(take(), ['+a'], 'not this host itself')
  it.gone('a', 100)
  it.gone('a', 900)
  t.equal(it.present, 0)
  it.expire(1_099)
  t.same(take(), [])
  alive.keys.add(formatKey(key))
  it.expire(5_000)
  t.same(take(), [])
  alive.keys.clear()
  it.expire(5_000)
  t.same(take(), ['-a'])
  t.same(it.values, [])
})

t.test('however many are gone, it is asked once who has a session', async (t) => {
  const { it, take, alive } = directory()
  const keys = Array.from({ length: 100 }, () => randomBytes(32))
  for (const [at, key] of keys.entries()) it.put(`k${at}`, value(1, key), 0)
  it.expire(5_000)
  t.equal(alive.asked, 0)
  for (const at of keys.keys()) it.gone(`k${at}`, 5_000)
  for (const key of keys.slice(1)) alive.keys.add(formatKey(key))
  take()
  it.expire(6_000)
  t.same(take(), ['-k0'])
  t.equal(alive.asked, 1)
})

t.test('the grace time stands still while the store is away, and the same value is no news', async (t) => {
  const { it, take } = directory()
  const a = value()
  it.replace(
    new Map([
      ['a', a],
      ['b', value()],
      ['c', value()],
    ]),
    WHOLE,
  )
  t.same(take(), ['+a', '+b', '+c'])
  it.gone('b', 100)
  // Of the time since then, it was in touch for 400 ms.
  it.replace(new Map([['a', a]]), { nowMs: 10_000, awayMs: 9_500, isWhole: true })
  it.expire(10_599)
  t.same(take(), [])
  it.expire(10_600)
  t.same(take(), ['-b'])
  it.expire(10_999)
  t.same(take(), [])
  it.expire(11_000)
  t.same(take(), ['-c'], 'it was missing for the first time')
  it.gone('a', 20_000)
  it.put('a', a, 0)
  it.expire(90_000)
  t.same(take(), [], 'it has come back')
  it.put('a', value(2), 0)
  t.same(take(), ['+a'])
})

t.test('a store that breaks off again and again does not keep who has gone', async (t) => {
  const { it, take } = directory()
  const a = value()
  it.replace(
    new Map([
      ['a', a],
      ['b', value()],
    ]),
    WHOLE,
  )
  take()
  // In touch for 300 ms, and away for 200 ms. The grace time is 1,000 ms.
  const news = [1, 2, 3, 4].map((round) => {
    const atMs = round * 500
    it.replace(new Map([['a', a]]), { nowMs: atMs, awayMs: 200, isWhole: true })
    it.expire(atMs + 299)
    return take()
  })
  t.same(news, [[], [], [], ['-b']])
})

t.test('what is refused while the store is away has all of the grace time', async (t) => {
  const { it, take } = directory()
  it.put('a', value(), 0)
  it.put('a', '{}', 900)
  take()
  it.replace(new Map([['a', '{}']]), { nowMs: 1_000, awayMs: 500, isWhole: true })
  it.expire(1_999)
  t.same(take(), [])
  it.expire(2_000)
  t.same(take(), ['-a'])
})

t.test('what is no member changes nothing, and stands for nobody', async (t) => {
  const { it, take, alive } = directory()
  it.put('a', '{}', 0)
  t.same(take(), ['the key of "a" in the etcd store has a value that is not one of a member'])
  const key = randomBytes(32)
  const good = value(1, key)
  it.put('a', good, 0)
  it.put('a', '{}', 100)
  it.put('a', '{}', 900)
  t.match(take(), ['+a', /not one of a member/], 'said once')
  t.same(it.values, [['a', good]])
  t.same([it.keys, it.known, it.present, it.refused.malformed], [1, 1, 0, 2])
  alive.keys.add(formatKey(key))
  it.expire(1_100)
  t.same(take(), [])
  alive.keys.clear()
  it.expire(1_100)
  t.same(take(), ['-a'])
  t.same([it.keys, it.known], [1, 0], 'its key is still there')
  it.put('a', good, 2_000)
  t.same(take(), ['+a'])
  t.equal(it.present, 1)
})

t.test('there is room for so many keys', async (t) => {
  const { it, take } = directory()
  for (let at = 0; at < MAX_ENTRIES; at++) it.put(`k${at}`, '{}', 0)
  take()
  it.put('more', value(), 0)
  it.put('and more', value(), 0)
  const said = take()
  t.match(said, [/more keys than there is room for: 4096 of members are the most/])
  t.same(said, [said[0], said[0]], 'the same sentence, so that it is logged once')
  t.equal(it.refused.no_room, 2)
})

t.test('under another network key, a member whose key is gone holds nobody up', async (t) => {
  const network = new SignedNetwork(randomBytes(32))
  const budget = { left: 3 }
  const { it, take } = directory({
    isRecordSigned: () => (budget.left-- > 0 ? true : undefined),
    isStatementSigned: () => true,
  })
  for (const name of ['a', 'b', 'c']) {
    const publicKey = Uint8Array.from(randomBytes(32))
    const record = network.record({ name, publicKey })
    it.put(name, formatValue({ name, publicKey, networks: record.networks, endpoints: [], record }), 0)
  }
  t.same(take(), ['+a', '+b', '+c'])
  it.gone('b', 100)
  budget.left = 0
  it.judgeAnew(200)
  t.same(take(), ['-a', '-b', '-c'], 'there was no time to judge any of them')
  budget.left = 9
  it.judgePending(300)
  t.same(take(), ['+a', '+c'])
  it.expire(1_100)
  t.same([it.keys, it.known, it.present], [2, 2, 2])
})
