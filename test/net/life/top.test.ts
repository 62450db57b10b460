/** The live view in a real terminal (tmux), beside a tunnel that carries a ping. */
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { PLAIN, PROGRAM, run, startTunnel, twoHosts, until, untilPing } from '../../support/hosts/lab.js'
import { Screen } from '../../support/hosts/screen.js'

const TOP = `${PLAIN.join(' ')} ${process.execPath} ${PROGRAM} top`

/** The names of the peers in their order on the screen, and the chosen one. */
function peersOn(text: string) {
  const lines = text.split('\n')
  const from = lines.findIndex((line) => /^ {2}peer /.test(line)) + 1
  const rows = lines.slice(from).filter((line) => /^[> ] \S/.test(line))
  return {
    names: rows.map((line) => line.slice(2).split(/ {2,}/)[0]),
    chosen: rows
      .find((line) => line.startsWith('>'))
      ?.slice(2)
      .split(/ {2,}/)[0],
  }
}

t.test('it shows a tunnel, sorts, chooses, fits again, and gives the terminal back', async (t) => {
  using pair = twoHosts()
  const others = ['--peer', '192.0.2.77', '--peer', '192.0.2.78']
  const a = await startTunnel(pair.a, '10.9.0.1', '--peer', pair.underlay.b, ...others)
  await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  await untilPing(pair.a, '10.9.0.2')
  pair.a.spawn('ping', ['-q', '-i', '0.02', '10.9.0.2'])

  await using screen = new Screen(pair.a)
  await screen.open(80, 24)
  const modes = async (name: string) => {
    await screen.keys(`stty -g | md5sum | sed 's/^/${name}-/'`, 'Enter')
    return (await screen.shows(new RegExp(`^${name}-[0-9a-f]{32}`, 'm'))).match(
      new RegExp(`^${name}-([0-9a-f]{32})`, 'm'),
    )?.[1]
  }
  const before = await modes('before')
  await screen.keys(`${TOP} tap0; echo "code=$?"`, 'Enter')
  const first = await screen.shows(/^outbound +\d+ +[\d.]+ k.*[▂-█]/m)
  t.match(first, /^tap0 tap {2}10\.9\.0\.1\/24 {2}MTU \d+ {2}up /)
  t.match(first, /^3 peers: /m)
  t.match(first, /^tap +\d+/m, 'wake-ups')
  t.match(first, /q quit/)
  t.equal(await screen.asks('#{alternate_on}'), '1')
  await until('the busy peer comes first', async () => peersOn(await screen.text()).names[0] === '192.0.2.2')

  await screen.keys('n')
  await screen.shows(/^peers, by name/m)
  t.same(peersOn(await screen.text()).names, ['192.0.2.2', '192.0.2.77', '192.0.2.78'])
  await screen.keys('Home', 'Down')
  await screen.shows(/^> 192\.0\.2\.77 /m)
  await screen.keys('Enter')
  await screen.shows(/^192\.0\.2\.77 {2}peer 2 of 3/m)
  await screen.keys('Up')
  const details = await screen.shows(/^192\.0\.2\.2 {2}peer 1 of 3/m)
  t.match(details, /^state +up/m)
  t.match(details, /^path MTU +\d+/m)
  await screen.keys('Escape')
  await screen.shows(/^peers, by name/m)
  await screen.keys('s')
  await screen.shows(/^peers, by state/m)
  t.equal(peersOn(await screen.text()).chosen, '192.0.2.2', 'the chosen one stays chosen')
  t.equal(peersOn(await screen.text()).names.at(-1), '192.0.2.2', 'the one that is up comes last')
  await screen.keys('?')
  await screen.shows(/^Keys/m)
  await screen.keys('x')
  await screen.shows(/^peers, by state/m)

  await screen.resize(200, 50)
  const wide = await screen.shows(/^ {2}peer .*in frames\/s .*heard/m)
  t.equal(wide.trimEnd().split('\n').length, 50, 'the last line is at the bottom')
  await screen.resize(60, 15)
  const small = await screen.shows(/^ {2}peer (?!.*path MTU)/m)
  t.match(small, /^outbound/m)
  await screen.keys('Enter')
  t.match(await screen.shows(/^page down: \d+ more/m), /^tap0 /)
  await screen.keys('NPage', 'Space')
  t.notMatch(await screen.shows(/^page up: \d+ more {2}q quit/m), /^tap0 /)
  await screen.keys('Home')
  t.match(await screen.shows(/^page down: \d+ more/m), /^tap0 /)
  await screen.keys('Escape')

  await screen.resize(80, 24)
  await screen.keys('q')
  await screen.shows(/^code=0/m)
  t.ok(await screen.isRestored())
  t.equal(await modes('after'), before, 'the modes of the terminal are as before')

  await screen.keys(`clear; ${TOP}; echo "code=$?"`, 'Enter')
  await screen.shows(/^outbound/m)
  await screen.keys('C-z')
  await screen.shows(/Stopped/)
  t.ok(await screen.isRestored(), 'while it is suspended, too')
  await screen.keys('fg', 'Enter')
  await screen.shows(/^outbound/m)
  for (const time of ['once', 'again']) {
    await run(pair.a, 'kill', ['-TSTP', await pidOf(screen)])
    await screen.shows(/Stopped/)
    t.ok(await screen.isRestored(), `by a signal, ${time}`)
    await screen.keys('clear; fg', 'Enter')
    await screen.shows(/^outbound/m)
  }
  await a.stop()
  await screen.shows(/udptun-fast: no tunnel runs on tap0 any more/)
  t.ok(await screen.isRestored())
  t.equal(await modes('ended'), before)
})

t.test('signals end it as q does; without colours it is the same text', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  await using screen = new Screen(pair.a)
  await screen.open(80, 24, ['NO_COLOR=1'])
  for (const signal of ['INT', 'TERM']) {
    await screen.keys(`clear; ${TOP} & echo $! > /dev/null; fg; echo "code=$?"`, 'Enter')
    await screen.shows(/^outbound/m)
    const text = await screen.text('-e')
    t.equal(stripVTControlCharacters(text), text, 'no colour')
    await run(pair.a, 'kill', [`-${signal}`, await pidOf(screen)])
    await screen.shows(/^code=0/m)
    t.ok(await screen.isRestored(), signal)
  }
})

/** The process that the shell of the terminal waits for. */
async function pidOf(screen: Screen): Promise<string> {
  const shell = await screen.asks('#{pane_pid}')
  const { stdout } = await run(undefined, 'ps', ['-o', 'pid=', '--ppid', shell])
  return stdout.trim().split('\n').at(-1)?.trim() ?? ''
}

t.test('without a terminal it says what to use instead', async (t) => {
  using pair = twoHosts()
  await startTunnel(pair.a, '10.9.0.1', pair.underlay.b)
  t.match(await run(pair.a, process.execPath, [PROGRAM, 'top']), {
    code: 2,
    stdout: '',
    stderr:
      'udptun-fast: top draws on a terminal, and standard output is none; for other programs, udptun-fast status --watch prints a line of JSON every second\n',
  })
})
