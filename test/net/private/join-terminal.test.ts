/** A person at a terminal gives the line of an invitation by hand. */
import { join } from 'node:path'
import t from 'tap'
import { Program } from '../../../src/lab/program.js'
import { PLAIN, until } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { invite, office } from '../../support/hosts/office.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { PROGRAM } from '../../support/program.js'

t.test('a line that is wrong is told soon, and asked for again', async (t) => {
  using keys = new KeyFolder()
  using network = new Network(2)
  const [hubHost, alice] = network.hosts
  const { hub } = await office(network, keys, [])
  const line = await invite(hubHost, 'alice')
  /** script(1) is a terminal. */
  const onTerminal = () => {
    const command = `${process.execPath} ${PROGRAM} join --directory ${join(keys.path, 'alice')}`
    const [env, ...rest] = [...PLAIN, 'NO_COLOR=1', 'script', '-qec', command, '/dev/null']
    return new Program(alice, env, rest)
  }
  const CTRL_D = '\u0004'
  const asked = async (program: Program, count: number) =>
    until(
      `asked ${count} times`,
      () => program.stdout.split('The line of the invitation').length === count + 1,
    )

  const first = onTerminal()
  await asked(first, 1)
  first.child.stdin?.write('garbage words\n\n\n')
  await asked(first, 2)
  t.match(first.stdout, /there is no invitation in what was given.*\r\nThe line .* \(Ctrl-D ends\): $/)
  first.child.stdin?.write(`${line.slice(0, -9)}\n`)
  await asked(first, 3)
  t.match(first.stdout, /the line of this invitation is cut: its end is missing.*\r\nThe line .*: $/)
  first.child.stdin?.write(CTRL_D)
  const gaveUp = await first.ended
  t.equal(gaveUp.code, 2, gaveUp.stdout)
  t.match(gaveUp.stdout, /: \r\nudptun-fast: the line of this invitation is cut.*\r\n$/)

  const second = onTerminal()
  await asked(second, 1)
  second.child.stdin?.write(`${line.slice(0, -9)}\n`)
  await asked(second, 2)
  second.child.stdin?.write(`${line}\n`)
  const joined = await second.ended
  t.equal(joined.code, 0, joined.stdout)
  t.match(joined.stdout, 'This host is alice, a member of office')
  await hub.stop()
})
