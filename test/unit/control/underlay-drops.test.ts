import t from 'tap'
import { UnderlayDrops } from '../../../src/control/underlay-drops.js'

const qdisc = (identity: string, drops: number) => ({ identity, drops })

t.test('what interfaces have dropped counts from when they were first asked about', async (t) => {
  const drops = new UnderlayDrops()
  drops.take('eth0', { index: 2, txDropped: 5, qdisc: qdisc('fq_codel 0', 70) })
  t.equal(drops.total, 0)
  drops.take('eth0', { index: 2, txDropped: 6, qdisc: qdisc('fq_codel 0', 72) })
  drops.take('eth1', { index: 3, txDropped: 900, qdisc: undefined })
  t.equal(drops.total, 3)
  drops.take('eth1', { index: 3, txDropped: 901, qdisc: undefined })
  t.equal(drops.total, 4)
})

t.test('another queueing discipline begins at zero, another interface of that name anew', async (t) => {
  const drops = new UnderlayDrops()
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: undefined })
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('tbf 8001', 7) })
  t.equal(drops.total, 7)
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('tbf 8002', 9) })
  t.equal(drops.total, 16)
  drops.take('eth0', { index: 9, txDropped: 100, qdisc: qdisc('tbf 8002', 100) })
  t.equal(drops.total, 16)
})

t.test('the kernel counts in 32 bits', async (t) => {
  const drops = new UnderlayDrops()
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('tbf 8001', 0xffff_fffe) })
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('tbf 8001', 3) })
  t.equal(drops.total, 5)
})

t.test('one that was made anew with the same name begins at zero', async (t) => {
  const drops = new UnderlayDrops()
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('netem 10000', 50) })
  drops.take('eth0', { index: 2, txDropped: 0, qdisc: qdisc('netem 10000', 2) })
  t.equal(drops.total, 2)
})
