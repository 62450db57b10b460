/** What is shown again and again, on real terminals (tmux), of a tunnel that only answers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { FAKE_DEVICE, FakeTunnel } from '../../support/fake-tunnel.js'
import { until } from '../../support/hosts/lab.js'
import { Screen } from '../../support/hosts/screen.js'
import { PROGRAM } from '../../support/program.js'
import { peerOf, reportOf } from './top/report.js'

const WATCH = `${process.execPath} ${PROGRAM} status ${FAKE_DEVICE} --watch`

t.test(
  'Ctrl-Z leaves the shell its cursor, and fg shows the answer below what the shell wrote',
  async (t) => {
    using tunnel = new FakeTunnel({ status: reportOf() })
    await using screen = new Screen()
    await screen.open(100, 40, [tunnel.variable])
    await screen.keys(WATCH, 'Enter')
    await screen.shows(/^nothing dropped/m)
    await screen.keys('C-z')
    await screen.shows(/Stopped/)
    t.equal(await screen.asks('#{cursor_flag}'), '1')
    await screen.keys('echo mine; fg', 'Enter')
    t.match(
      await screen.shows(/mine[\s\S]*^nothing dropped/m),
      /^nothing dropped[\s\S]*Stopped[\s\S]*^mine$/m,
    )
  },
)

t.test('a terminal that cannot place text gets one answer below the other, without any code', async (t) => {
  using tunnel = new FakeTunnel({ status: reportOf() })
  const [name, folder] = tunnel.variable.split('=')
  const { NODE_OPTIONS: _, ...others } = process.env
  const child = spawn('script', ['--quiet', '--return', '--command', `exec ${WATCH}`, '/dev/null'], {
    env: { ...others, [name]: folder, TERM: 'dumb' },
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await until('there are two', () => text.split('nothing dropped').length > 2)
  child.kill()
  await once(child, 'close')
  t.match(text, /nothing dropped.*\r\n\r\nfake0 tap/)
  t.notMatch(text, '\x1b')
})

t.test('of many peers the first ones are shown, and how many lines are missing', async (t) => {
  const peers = Array.from({ length: 200 }, (_, at) => peerOf(`peer${at}`))
  using tunnel = new FakeTunnel({ status: reportOf({ peers }) })
  await using screen = new Screen()
  await screen.open(80, 24, [tunnel.variable])
  await screen.keys(WATCH.replace(' status ', ' peers '), 'Enter')
  const text = await screen.shows(/more lines/)
  t.match(text, /^peer +state/)
  t.match(text, /^peer20 +up/m)
  t.match(text, /^… 180 more lines \(all without --watch\)$/m)
})
