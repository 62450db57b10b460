/** What udptun-fast does. */
import { commandLine } from './command-line.js'
import { COMMANDS } from './commands.js'
import { runCommand } from './run-command.js'

const [, , asked = ''] = process.argv
const alone = Object.hasOwn(COMMANDS, asked) && asked !== 'complete'

await runCommand(await commandLine(alone ? { [asked]: COMMANDS[asked] } : COMMANDS))
