import t from 'tap'
import { Fragmenting } from '../../../../src/control/peer/fragmenting.js'

const PATH_BYTES = 1400
const INTERFACE_BYTES = 1500

/** What is possible over IPv6 at a time, and whether the path must be searched. */
function made() {
  const fragmenting = new Fragmenting()
  return (nowMs: number, knownBytes: number | undefined, pathBytes = PATH_BYTES) => {
    const possible = fragmenting.look('ipv6', knownBytes, pathBytes, nowMs)
    return [possible, fragmenting.takeReminder()]
  }
}

t.test('over IPv4 always, whatever is known', async (t) => {
  const fragmenting = new Fragmenting()
  t.equal(fragmenting.look('ipv4', undefined, PATH_BYTES, 0), true)
  t.equal(fragmenting.look('ipv4', INTERFACE_BYTES, PATH_BYTES, 0), true)
  t.equal(fragmenting.takeReminder(), false)
})

t.test('over IPv6 only if the kernel cuts short enough', async (t) => {
  const look = made()
  t.same(look(0, undefined), [false, false])
  t.same(look(1_000, INTERFACE_BYTES), [false, false], 'nobody has ever told it')
  t.same(look(2_000, PATH_BYTES + 1), [false, false])
  t.same(look(3_000, PATH_BYTES), [true, false])
  t.same(look(4_000, PATH_BYTES - 1), [true, false])
})

t.test('what the kernel has forgotten is asked for once, and taken for true meanwhile', async (t) => {
  const look = made()
  for (const startMs of [0, 600_000, 1_200_000]) {
    t.same(look(startMs, PATH_BYTES), [true, false])
    t.same(look(startMs + 1_000, INTERFACE_BYTES), [true, true])
    t.same(look(startMs + 2_000, INTERFACE_BYTES), [true, false])
    t.same(look(startMs + 3_000, PATH_BYTES), [true, false])
  }
})

t.test('if no router says it again, that is over until one does', async (t) => {
  const look = made()
  look(0, PATH_BYTES)
  t.same(look(1_000, INTERFACE_BYTES), [true, true])
  t.same(look(6_000, INTERFACE_BYTES), [true, false])
  t.same(look(6_001, INTERFACE_BYTES), [false, false])
  t.same(look(100_000, INTERFACE_BYTES), [false, false], 'it is not asked for again and again')
  t.same(look(200_000, PATH_BYTES), [true, false])
  t.same(look(201_000, INTERFACE_BYTES), [true, true])
})

t.test('a path that gets narrower is not one that the kernel has forgotten', async (t) => {
  const look = made()
  t.same(look(0, INTERFACE_BYTES, INTERFACE_BYTES), [true, false])
  t.same(look(1_000, INTERFACE_BYTES, 1300), [false, false])
  t.same(look(2_000, 1300, 1300), [true, false])
})
