import t from 'tap'
import { Proof } from '../../../../src/control/datapath/proof.js'

t.test('both answers are needed, and each holds for 3.5 s', async (t) => {
  const proof = new Proof()
  t.ok(proof.isDue(0))
  proof.greeted(2n, 0)
  proof.probed(1n)
  t.notOk(proof.isDue(999))
  t.ok(proof.isDue(1_000))
  t.notOk(proof.holds(10))
  proof.probeAnswered(1n, 100)
  t.notOk(proof.holds(100), 'a firewall may close the port for all but the programs')
  proof.helloAnswered(2n, 200)
  t.ok(proof.holds(200))
  t.ok(proof.holds(3_599))
  t.notOk(proof.holds(3_600), 'the probe was answered too long ago')
})

t.test('two lost answers cost nothing, and a third one does', async (t) => {
  const proof = new Proof()
  const round = (nowMs: number, answered: boolean) => {
    const [probe, hello] = [BigInt(nowMs), BigInt(nowMs + 1)]
    proof.greeted(hello, nowMs)
    proof.probed(probe)
    if (!answered) return
    proof.probeAnswered(probe, nowMs + 1)
    proof.helloAnswered(hello, nowMs + 1)
  }
  round(0, true)
  for (const nowMs of [1_000, 2_000]) round(nowMs, false)
  t.ok(proof.holds(3_000))
  round(3_000, true)
  t.ok(proof.holds(5_000))
  for (const nowMs of [4_000, 5_000, 6_000]) round(nowMs, false)
  t.notOk(proof.holds(7_000))
})

t.test('an answer to something else, or a second one, counts for nothing', async (t) => {
  const proof = new Proof()
  proof.greeted(2n, 0)
  proof.probed(1n)
  proof.probeAnswered(2n, 1)
  proof.helloAnswered(1n, 1)
  t.notOk(proof.holds(1))
  proof.probeAnswered(1n, 2)
  proof.helloAnswered(2n, 2)
  t.ok(proof.holds(2))
  proof.probeAnswered(1n, 3_000)
  proof.helloAnswered(2n, 3_000)
  t.notOk(proof.holds(4_000), 'they were repeated by somebody')
})

t.test('after a change of the way all of it is proved again', async (t) => {
  const proof = new Proof()
  proof.greeted(2n, 0)
  proof.probed(1n)
  proof.reset()
  proof.probeAnswered(1n, 1)
  proof.helloAnswered(2n, 1)
  t.notOk(proof.holds(1))
  t.ok(proof.isDue(1))
})

t.test('the way is probed with the first keepalive, and later while they are answered', async (t) => {
  const proof = new Proof()
  t.notOk(proof.mayProbe(0))
  proof.greeted(1n, 0)
  t.ok(proof.mayProbe(0))
  proof.greeted(2n, 1_000)
  t.notOk(proof.mayProbe(1_000), 'none was answered')
  proof.helloAnswered(2n, 1_100)
  t.ok(proof.mayProbe(1_100))
  proof.greeted(3n, 2_000)
  t.ok(proof.mayProbe(4_599))
  t.notOk(proof.mayProbe(4_600))
  proof.reset()
  proof.greeted(4n, 5_000)
  t.ok(proof.mayProbe(5_000))
})
