/** What the program says if its answer cannot be written. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { PROGRAM } from '../../support/program.js'

const run = promisify(execFile)

/** Runs a command of the shell, in which `$0` is Node.js and `$1` the program. */
async function shell(command: string): Promise<{ code: number; stderr: string }> {
  try {
    const { stderr } = await run('bash', ['-o', 'pipefail', '-c', command, process.execPath, PROGRAM])
    return { code: 0, stderr }
  } catch (error) {
    return error as { code: number; stderr: string }
  }
}

t.test('an answer that does not fit is an error', async (t) => {
  for (const command of [
    '--help',
    'start --help',
    '--version',
    'keygen',
    'complete bash',
    'complete zsh',
    'complete fish',
    'mtu 127.0.0.1 --json',
    'mtu 127.0.0.1',
  ])
    t.match(
      await shell(`"$0" "$1" ${command} > /dev/full`),
      { code: 1, stderr: /^udptun-fast: standard output cannot be written \(ENOSPC\).*\n$/ },
      command,
    )
})

t.test('a reader that has enough is none', async (t) => {
  for (const command of ['--help', 'mtu 127.0.0.1 --json'])
    t.match(await shell(`"$0" "$1" ${command} | true`), { code: 0, stderr: '' }, command)
})
