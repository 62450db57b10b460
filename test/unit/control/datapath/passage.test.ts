import t from 'tap'
import type { KernelWay } from '../../../../src/control/datapath/kernel-path.js'
import { Passage } from '../../../../src/control/datapath/passage.js'

const WAY: KernelWay = {
  interface: 'eth0',
  ifindex: 2,
  gateway: undefined,
  source: '192.0.2.1',
  destination: '192.0.2.2',
  destinationPort: 5149,
  longestFrameBytes: 1458,
}

/** A host, and how often netfilter was asked. */
function host() {
  const it = { translated: false, policied: false, asked: 0 }
  const path = {
    isTranslated: () => {
      it.asked++
      return it.translated
    },
  }
  const passage = new Passage()
  const look = (nowMs: number, way = WAY) => passage.hindrance(path, () => it.policied, way, nowMs)
  return { it, passage, look }
}

t.test('netfilter is asked once a second', async (t) => {
  const { it, look } = host()
  for (let nowMs = 0; nowMs < 3_000; nowMs += 200) t.equal(look(nowMs), undefined)
  t.equal(it.asked, 3)
  it.translated = true
  t.equal(look(3_000), 'nat')
  it.translated = false
  t.equal(look(3_800), 'nat')
  t.equal(look(4_000), undefined)
})

t.test('about a new way at once', async (t) => {
  const { it, look } = host()
  look(0)
  for (const [index, change] of [
    { interface: 'eth1' },
    { source: '192.0.2.9' },
    { destination: '192.0.2.9' },
    { destinationPort: 9 },
  ].entries()) {
    look(1, { ...WAY, ...change })
    t.equal(it.asked, index + 2)
  }
  look(1)
  it.asked = 0
  look(2, { ...WAY, longestFrameBytes: 1400 })
  t.equal(it.asked, 0, 'a longer or shorter frame is no new way')
})

t.test('an IPsec policy comes first, and counts at each look', async (t) => {
  const { it, look } = host()
  it.policied = true
  it.translated = true
  t.equal(look(0), 'ipsec')
  t.equal(it.asked, 0)
  it.policied = false
  t.equal(look(1), 'nat')
  it.policied = true
  t.equal(look(2), 'ipsec')
})

t.test('a peer is heard for 8 s after its last control frame', async (t) => {
  const { passage } = host()
  t.notOk(passage.isHeard(0))
  passage.heard(1_000)
  t.ok(passage.isHeard(8_999))
  t.notOk(passage.isHeard(9_000))
})
