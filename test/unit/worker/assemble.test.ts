import t from 'tap'
import { NativeMemory } from '../../../src/linux/memory.js'
import { planMemory, SCRATCH_BYTES } from '../../../src/memory/plan.js'
import { byteOperations } from '../../../src/offload/bytes.js'
import type { LoopTask } from '../../../src/worker/task.js'
import { assemble } from '../../../src/worker/worker.js'

t.test('whatever a worker consists of finds room in its scratch memory', async (t) => {
  const plan = planMemory(256)
  const memory = NativeMemory.allocate(plan.bytes)
  const bytes = byteOperations(memory)
  const keys = { mac1: new Uint8Array(32), cookie: new Uint8Array(32) }
  // Nothing is done with them until the loop runs.
  const fds = { tapFd: -1, udpFd: -1, flowFds: [], tapBellFd: -1, udpBellFd: -1 }
  for (const role of ['tap', 'udp'] as const)
    for (const mode of ['tap', 'tun'] as const)
      for (const relay of [false, true])
        for (const [secret, spread] of [
          [false, false],
          [true, false],
          [true, true],
        ]) {
          const task: LoopTask = {
            role,
            mode,
            dsMask: 3,
            relay,
            spread,
            plan,
            sockaddrBytes: 28,
            ...fds,
            ...(secret ? { keys } : {}),
          }
          memory.u8.fill(0, plan[role].scratch, plan[role].scratch + SCRATCH_BYTES)
          t.doesNotThrow(
            () => assemble(task, memory, bytes),
            `${role} worker, ${mode}, ${relay}, ${secret}, ${spread}`,
          )
        }
})
