import t from 'tap'
import { watchdogPeriodMs } from '../../../src/service/watchdog.js'

t.test('the watchdog is fed four times in the time that it waits', async (t) => {
  t.equal(watchdogPeriodMs({ WATCHDOG_USEC: '30000000' }, 7), 7_500)
  t.equal(watchdogPeriodMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7), 7_500)
  t.equal(watchdogPeriodMs({ WATCHDOG_USEC: '10' }, 7), 1, 'a timer is no faster')
  t.equal(watchdogPeriodMs({ WATCHDOG_USEC: '18446744073709551615' }, 7), 2 ** 31 - 1, 'nor slower')
})

t.test('there is none without its variable, or if it is for another process', async (t) => {
  for (const env of [
    {},
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: '' },
    { WATCHDOG_USEC: '-1' },
    { WATCHDOG_USEC: '3e7' },
    { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' },
    { WATCHDOG_USEC: '30000000', WATCHDOG_PID: '' },
  ])
    t.equal(watchdogPeriodMs(env, 7), undefined, JSON.stringify(env))
})
