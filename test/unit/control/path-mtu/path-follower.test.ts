import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { probing } from '../../../../src/control/kernel/probing.js'
import { systemClock } from '../../../../src/control/kernel/system-clock.js'
import { PathFollower, SEARCH_INTERVAL_MS } from '../../../../src/control/path-mtu/path-follower.js'
import { controlAnswer } from '../../../../src/wire/control.js'

const LOOPBACK = { family: 'ipv4', address: '127.0.0.1', ceilingBytes: 1500, leastBytes: 58 } as const
const HEADERS_BYTES = 28

/** A follower whose far end acknowledges what `carries` lets through, without a network between. */
function followed() {
  const path = { carriesBytes: 1400, sent: 0, answers: true, aheadMs: 0 }
  const clock = systemClock()
  const follower: PathFollower = new PathFollower({
    clock: { ...clock, nowMs: () => clock.nowMs() + path.aheadMs },
    network: probing,
    random: Math.random,
    from: () => undefined,
    newToken: () => randomBytes(8).readBigUInt64BE(),
    onFault: (error) => t.fail(String(error)),
    refreshMs: 600_000,
    onChange: () => {},
    send: (message, frameBytes) => {
      path.sent++
      const bytes = (frameBytes ?? 64) + HEADERS_BYTES
      const answer = controlAnswer(message, bytes - HEADERS_BYTES)
      if (path.answers && bytes <= path.carriesBytes && answer !== undefined)
        setImmediate(() => follower.pathMtu?.answered(answer))
      return true
    },
  })
  return { follower, path }
}

async function until(check: () => boolean) {
  for (let tries = 0; tries < 500 && !check(); tries++) await sleep(10)
  return check()
}

t.test('what the paths before carried holds until it is known what this one does', async (t) => {
  const { follower, path } = followed()
  follower.follow(LOOPBACK)
  t.equal(follower.knownBytes, undefined)
  t.ok(await until(() => follower.pathMtu?.how === 'acknowledged'))
  t.equal(follower.knownBytes, 1400)

  t.comment('it moves, often')
  path.answers = false
  const sent = path.sent
  for (let moves = 0; moves < 100; moves++) {
    follower.leave()
    follower.follow(LOOPBACK)
  }
  t.equal(path.sent, sent, 'nothing is asked again at once')
  t.equal(follower.knownBytes, 1400)

  t.comment('and stays')
  path.carriesBytes = 1450
  path.aheadMs += SEARCH_INTERVAL_MS
  follower.follow(LOOPBACK)
  t.same([follower.pathMtu?.how, follower.pathMtu?.mtuBytes], ['previous', 1400])
  path.answers = true
  t.ok(await until(() => follower.pathMtu?.how === 'acknowledged'))
  t.equal(follower.knownBytes, 1450)
  follower.close()
})

t.test('a path that nobody says anything of is not held to what another one carried', async (t) => {
  const { follower, path } = followed()
  follower.follow(LOOPBACK)
  t.ok(await until(() => follower.pathMtu?.how === 'acknowledged'))
  follower.leave()
  path.answers = false
  path.aheadMs += SEARCH_INTERVAL_MS
  follower.follow(LOOPBACK)
  t.equal(follower.knownBytes, 1400)
  t.ok(await until(() => follower.pathMtu?.how === 'reached'), 'but for what ICMP says')
  t.equal(follower.knownBytes, 1500)
  follower.close()
})
