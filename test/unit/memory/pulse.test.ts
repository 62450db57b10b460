import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { planMemory } from '../../../src/memory/plan.js'
import { Pulse } from '../../../src/memory/pulse.js'

t.test('each worker answers the last question, and with it those before', async (t) => {
  const plan = planMemory(1)
  const memory = NativeMemory.allocate(plan.bytes)
  const main = new Pulse(memory, plan.state)
  const worker = new Pulse(memory, plan.state)
  const first = main.ask()
  t.notOk(main.hasAnswered('tap', first))
  worker.answer('tap')
  t.ok(main.hasAnswered('tap', first))
  t.notOk(main.hasAnswered('udp', first), 'one of them')
  const second = main.ask()
  t.ok(main.hasAnswered('tap', first), 'a later question does not undo an answer')
  t.notOk(main.hasAnswered('tap', second), 'an old answer is none')
  worker.answer('udp')
  t.ok(main.hasAnswered('udp', first), 'the answer to a later question is one')
  t.ok(main.hasAnswered('udp', second))
})
