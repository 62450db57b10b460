import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { Flows, flowsBytes, HERE, KEY_WORDS, THERE } from '../../../src/memory/flows.js'

const PEERS = 2
const TIMEOUT_S = 60

const make = () => new Flows(NativeMemory.allocate(flowsBytes(PEERS)), 0, PEERS)
const key = (number: number) => new Int32Array(KEY_WORDS).fill(number)

t.test('a flow is found until it was not seen for as long as its time-out', async (t) => {
  const flows = make()
  t.equal(flows.find(key(1), 0, TIMEOUT_S), -1)
  flows.note(key(1), HERE, 10, 0)
  const found = flows.find(key(1), 70, TIMEOUT_S)
  t.equal(flows.begun(found), HERE)
  t.equal(flows.find(key(1), 71, TIMEOUT_S), -1)
  flows.touch(found, 70, 5)
  t.equal(flows.find(key(1), 130, TIMEOUT_S), found)
  t.equal(flows.allowedBy(found), 5)
})

t.test(
  'however many flows peers begin, none that this side has begun goes, and the newest of theirs stay',
  async (t) => {
    const flows = make()
    for (let own = 1; own <= 20; own++) flows.note(key(own), HERE, 0, 0)
    const kept = Array.from({ length: 20 }, (_, index) => index + 1).filter(
      (own) => flows.find(key(own), 0, 9) >= 0,
    )
    for (let theirs = 1_000; theirs < 11_000; theirs++) flows.note(key(theirs), THERE, theirs, 0)
    t.ok(kept.length >= 16, `${kept.length} of 20 had room`)
    for (const own of kept) t.equal(flows.begun(flows.find(key(own), 9, 9)), HERE)
    t.equal(flows.begun(flows.find(key(10_999), 10_999, 9)), THERE)
    let left = 0
    for (let theirs = 1_000; theirs < 11_000; theirs++)
      if (flows.find(key(theirs), 10_999, 20_000) >= 0) left++
    t.ok(left <= PEERS * 32 && left > PEERS * 16, `${left} are left`)
  },
)

t.test('which flows push each other out depends on a seed that only this host knows', async (t) => {
  const left = (seed: number) => {
    const memory = NativeMemory.allocate(flowsBytes(PEERS))
    Flows.initialise(memory, 0, seed)
    const flows = new Flows(memory, 0, PEERS)
    const all = Array.from({ length: 400 }, (_, index) => index + 1)
    for (const number of all) flows.note(key(number), THERE, number, 0)
    return all.filter((number) => flows.find(key(number), 400, 1_000) >= 0)
  }
  t.same(left(1), left(1))
  t.notSame(left(1), left(2))
  t.notSame(left(2), left(0x7fff_0000))
})
