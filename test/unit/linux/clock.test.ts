import { readFileSync } from 'node:fs'
import t from 'tap'
import { BootClock } from '../../../src/linux/clock.js'

/** What the kernel itself says of the time since the boot, suspends included (proc(5)): hundredths of seconds. */
const uptimeMs = () => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1_000

t.test('it is the time since the boot, finer than a millisecond, and only goes forward', async (t) => {
  const clock = new BootClock()
  const [before, nowMs, after] = [uptimeMs(), clock.now(), uptimeMs()]
  t.ok(nowMs >= before - 10 && nowMs <= after + 20, `${before} ${nowMs} ${after}`)
  let lastMs = nowMs
  let moved = 0
  for (let i = 0; i < 10_000; i++) {
    const now = clock.now()
    if (now < lastMs) t.fail('back')
    if (now > lastMs) moved++
    lastMs = now
  }
  t.ok(moved > 1_000)
  t.equal(clock.ms[0], lastMs, 'what was seen last stays')
})
