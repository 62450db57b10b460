import t from 'tap'
import { ToldMembers } from '../../../../src/control/discovery/told-members.js'
import { formatKey } from '../../../../src/key-text.js'

const member = (name: string, byte: number) => ({
  name,
  publicKey: new Uint8Array(32).fill(byte),
  networks: [],
  endpoints: [],
})
const [one, two] = [1, 2].map((byte) => formatKey(new Uint8Array(32).fill(byte)))

t.test('who forges a public key does not hide the one that has it', async (t) => {
  const told = new ToldMembers()
  t.same(told.tell('the store', 'a', member('a', 1)), [one])
  t.same(told.tell('the store', 'evil', member('evil', 1)), [one])
  t.same(
    told.of(one).map((it) => it.member.name),
    ['a', 'evil'],
  )
  t.same(told.tell('the store', 'evil', member('evil', 2)), [one, two], 'both keys are to be judged anew')
  t.same(
    told.of(one).map((it) => it.member.name),
    ['a'],
  )
  t.same(told.tell('the store', 'evil', undefined), [two])
  t.same(told.tell('the store', 'evil', undefined), [])
  t.same(told.of(two), [])
  t.equal(told.all().length, 1)
})

t.test('of two sources that tell of one member, each may take back its own word', async (t) => {
  const told = new ToldMembers()
  const by = () => told.of(one).map((it) => it.by)
  told.tell('first', one, member('a', 1))
  told.tell('second', one, member('a', 1))
  told.tell('first', one, member('b', 1))
  t.same(by(), ['first', 'second'], 'who tells again keeps its place')
  t.same(told.tell('first', one, undefined), [one])
  t.same(by(), ['second'])
  told.tell('first', one, member('a', 1))
  t.same(by(), ['second', 'first'])
})
