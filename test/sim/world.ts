import t, { type Test } from 'tap'
import { SimWorld } from './sim-world.js'

export { type HostChoices, PORT, SimWorld } from './sim-world.js'

/** How many timers of Node.js run. */
function realTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
}

const SEED = 1

/**
 * A test in a world of its own. A failure names the seed; with it in UDPTUN_SIM_SEED, the same happens again.
 */
export function simTest(name: string, work: (t: Test, world: SimWorld) => Promise<void>): void {
  t.test(name, async (t) => {
    const seed = Number(process.env.UDPTUN_SIM_SEED ?? SEED)
    const world = new SimWorld(seed)
    const before = realTimers()
    try {
      await work(t, world)
      t.equal(realTimers(), before, 'nobody waits in real time')
      await world.end(t)
    } finally {
      if (!t.passing()) t.comment(`UDPTUN_SIM_SEED=${seed} replays this`)
    }
  })
}
