import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { planMemory } from '../../../src/memory/plan.js'
import { Pulse } from '../../../src/memory/pulse.js'

t.test('a question is answered when both workers have answered it', async (t) => {
  const plan = planMemory(1)
  const memory = NativeMemory.allocate(plan.bytes)
  const main = new Pulse(memory, plan.state)
  const worker = new Pulse(memory, plan.state)
  t.ok(main.answered, 'nothing was asked')
  main.ask()
  t.notOk(main.answered)
  worker.answer('tap')
  t.notOk(main.answered, 'one of them')
  worker.answer('udp')
  t.ok(main.answered)
  main.ask()
  t.notOk(main.answered, 'an old answer is none')
  worker.answer('udp')
  worker.answer('udp')
  t.notOk(main.answered)
  worker.answer('tap')
  t.ok(main.answered)
})
