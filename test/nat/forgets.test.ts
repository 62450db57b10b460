/** NATs that forget a mapping after 30 s, and hosts that have nothing to say for longer. */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Meet, PORT } from './meeting.js'

const MAPPING_SECONDS = 30
const SILENCE_MS = 75_000

t.test('a direct way stays through NATs that forget a mapping after 30 s', async (t) => {
  const site = { nat: 'keeping', ports: [PORT], mappingSeconds: MAPPING_SECONDS } as const
  await using both = await Meet.start({ mode: 'tun', sites: [site, site] })
  const { way, directMs } = await both.meet()
  t.equal(way, 'direct')
  t.comment(`directly after ${directMs} ms`)
  for (let round = 0; round < 2; round++) {
    await sleep(SILENCE_MS)
    t.equal(await both.way(), 'direct', `the first ping after ${SILENCE_MS / 1000} s without any`)
  }
})
