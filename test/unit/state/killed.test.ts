/** A real process that writes a file is killed at every step, and at any moment. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { StateDirectory } from '../../../src/state/state-directory.js'

const script = (name: string) => fileURLToPath(new URL(`../../support/${name}.js`, import.meta.url))
const NAME = 'members-0.json'

/** What the file holds: a number, twice. */
function numberIn(path: string): number | undefined {
  const text = new StateDirectory({ STATE_DIRECTORY: path }).load(NAME)
  if (text === undefined) return undefined
  const [first, , last] = text.split('\n')
  if (first !== last) throw new Error('half of it is old')
  return Number(first)
}

function write(path: string, number: number, killAt?: string) {
  const { NODE_OPTIONS, ...env } = process.env
  const args = ['--import', script('killed-at'), script('state-writer'), NAME, String(number), '1']
  return spawnSync(process.execPath, args, {
    env: {
      ...env,
      STATE_DIRECTORY: path,
      KILL_PATH: path,
      ...(killAt === undefined ? {} : { KILL_AT: killAt }),
    },
    encoding: 'utf8',
  })
}

t.test('killed at every step of a write, it leaves the old file or the new one', async (t) => {
  const path = join(t.testdir(), 'state')
  const steps = (write(path, 1).stderr.match(/^step/gm) ?? []).length
  t.ok(steps >= 8, `${steps} steps`)
  let before = 1
  for (let step = 1; step <= steps; step++)
    for (const when of ['before', 'after']) {
      const { signal } = write(path, before + 1, `${step} ${when}`)
      const now = numberIn(path)
      // The first step of the first write makes the directory, and it is there now.
      if (signal === 'SIGKILL') t.ok(now === before || now === before + 1, `${when} step ${step}: ${now}`)
      before = now ?? 0
    }
  t.equal(write(path, 1000).status, 0)
  t.equal(numberIn(path), 1000)
  t.same(readdirSync(path), [NAME], 'and nothing else is left')
})

t.test('killed at any moment, what was said to be written is there', async (t) => {
  const path = join(t.testdir(), 'state')
  const { NODE_OPTIONS, ...env } = process.env
  let last = 0
  for (let round = 0; round < 12; round++) {
    const child = spawn(process.execPath, [script('state-writer'), NAME, String(last + 1), '1000000'], {
      env: { ...env, STATE_DIRECTORY: path },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await once(child.stdout, 'data')
    await sleep(Math.random() * 40)
    child.kill('SIGKILL')
    await once(child, 'close')
    const told = Number(said.trimEnd().split('\n').at(-1))
    const now = numberIn(path) ?? 0
    // It may be killed before it says so.
    t.ok(now === told || now === told + 1, `${told} was said, ${now} is there`)
    last = now
  }
  t.ok(last > 12, `${last} writes`)
  t.ok(readdirSync(path).length <= 2, 'at most one half is left')
})
