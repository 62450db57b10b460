import { randomBytes } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { askForLine } from '../../../src/cli/ask-for-line.js'
import { formatInvitation } from '../../../src/invitation/invitation.js'
import { findInvitation } from '../../../src/invitation/mend.js'

const LINE = formatInvitation({
  mode: 'tun',
  network: 'office',
  name: 'alice',
  introducer: 'hub',
  publicKey: randomBytes(32),
  privateKey: randomBytes(32),
  presharedKey: randomBytes(32),
  untilS: 1_900_000_000,
  endpoints: [{ host: '198.51.100.1', port: 5149 }],
  addresses: [{ address: '10.9.0.2', prefixLength: 24 }],
})

const PAUSE_MS = 50
/** More than that, on a busy machine, too. */
const LATER_MS = 500

/** Types what is given, with a pause after each, and returns what was asked and what came of it. */
async function type(...given: readonly string[]) {
  const terminal = new PassThrough()
  const said: string[] = []
  const answer = askForLine(terminal, (text) => said.push(text), PAUSE_MS)
  for (const text of given) {
    terminal.write(text)
    await sleep(LATER_MS)
  }
  terminal.end()
  return { text: await answer, said }
}

t.test('what is wrong is said after a pause, and the whole line is taken then', async (t) => {
  const { text, said } = await type('garbage words\n', '\n', `${LINE.slice(0, -9)}\n`, `${LINE}\n`)
  t.not(typeof findInvitation(text), 'string')
  t.match(said, [
    /^The line of the invitation: $/,
    /there is no invitation in what was given.*\nThe line of the invitation \(Ctrl-D ends\): $/,
    /there is no invitation in what was given/,
    /its end is missing.*\nThe line of the invitation \(Ctrl-D ends\): $/,
  ])
  t.equal(said.length, 4)
})

t.test('the rest of a line may follow', async (t) => {
  const { text, said } = await type(`${LINE.slice(0, 50)}\n`, `${LINE.slice(50)}\n`)
  t.not(typeof findInvitation(text), 'string')
  t.match(said, [/^The line/, /its end is missing/])
})

t.test('nothing is said of a line that was wrapped, and comes in pieces', async (t) => {
  const terminal = new PassThrough()
  const said: string[] = []
  const answer = askForLine(terminal, (text) => said.push(text))
  for (const piece of ['Hello,\n', '\n', `> ${LINE.slice(0, 60)}\n`, `> ${LINE.slice(60)}\n`]) {
    terminal.write(piece)
    await sleep(20)
  }
  t.not(typeof findInvitation(await answer), 'string')
  t.same(said, ['The line of the invitation: '])
})

t.test('the end of the input ends it', async (t) => {
  const { text, said } = await type('garbage\n')
  t.equal(text, 'garbage\n')
  t.equal(said.at(-1), '\n')
})
