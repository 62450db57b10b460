/** What udptun-fast does. */
import { Command } from 'commander'
import { COMMANDS } from './commands.js'
import { runCommand } from './run-command.js'

const program = new Command('udptun-fast')
  .description(
    'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
  )
  .enablePositionalOptions()

const [, , asked = ''] = process.argv
for (const name of Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS))
  (await COMMANDS[name]())(program)

await runCommand(program)
