import t from 'tap'
import { EMPTY, withMember } from '../../../../src/control/members/book.js'
import { MembersFile } from '../../../../src/control/members/members-file.js'

const memberCalled = (name: string) => ({
  name,
  publicKey: Buffer.alloc(32, name).toString('base64'),
  presharedKey: Buffer.alloc(32, 'p').toString('base64'),
  addresses: ['10.9.0.2'],
  groups: [],
  joinedMs: 0,
  seenMs: undefined,
  untilMs: undefined,
  isWireGuard: false,
})

/** A host whose private key is changed by the test. */
function made() {
  const files = new Map<string, string>()
  const own: { key: Uint8Array | undefined } = { key: undefined }
  const state = {
    path: '/state',
    load: (name: string) => files.get(name),
    save: (name: string, text: string) => void files.set(name, text),
  }
  return { files, own, open: () => new MembersFile(state as never, () => own.key) }
}

const [K1, K2] = [1, 2].map((byte) => new Uint8Array(32).fill(byte))
const fileOf = (key: Uint8Array) => `members-${Buffer.from(key.subarray(0, 8)).toString('hex')}.json`
const namesIn = ({ book }: MembersFile) => book.members.map(({ name }) => name)

t.test('another private key has another list, and none is lost', async (t) => {
  const { files, own, open } = made()
  own.key = K2
  const before = open()
  before.change(withMember(before.book, memberCalled('zoe')))
  own.key = K1
  const file = open()
  file.change(withMember(file.book, memberCalled('alice')))
  const first = files.get(fileOf(K1))
  t.same(namesIn(file), ['alice'])

  own.key = K2
  t.same(namesIn(file), ['zoe'])
  file.change(withMember(file.book, memberCalled('bob')))
  t.same(namesIn(open()), ['zoe', 'bob'])
  t.equal(files.get(fileOf(K1)), first)

  own.key = undefined
  t.equal(file.book, EMPTY)
  t.throws(() => file.change(withMember(EMPTY, memberCalled('eve'))), /has no private key/)

  own.key = K1
  t.same(namesIn(file), ['alice'])
})

t.test("a list that was made of another key's is not written", async (t) => {
  const { files, own, open } = made()
  own.key = K1
  const file = open()
  const book = withMember(file.book, memberCalled('alice'))
  own.key = K2
  t.throws(() => file.change(book), { name: 'UserError', message: /another private key/ })
  t.same([...files], [])
  t.same(namesIn(file), [])
})

t.test('a file that cannot be used concerns only its own key', async (t) => {
  const { files, own, open } = made()
  files.set(fileOf(K1), 'no list')
  own.key = K1
  const file = open()
  t.match(file.trouble, /members-01.*mend it or move it away/)
  own.key = K2
  t.equal(file.trouble, undefined)
  file.change(withMember(file.book, memberCalled('bob')))
  t.same(namesIn(file), ['bob'])
  own.key = K1
  t.match(file.trouble, /members-01/)
  t.equal(file.book, EMPTY)
  t.throws(() => file.change(EMPTY), /mend it/)
  t.equal(files.get(fileOf(K1)), 'no list')
})
