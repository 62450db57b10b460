/** What udptun-fast does. */
import { commandLine } from './command-line.js'
import { COMMANDS } from './commands.js'
import { wordsOf } from './help-words.js'
import { runCommand } from './run-command.js'

const words = wordsOf(process.argv.slice(2))
const [asked = ''] = words
const alone = Object.hasOwn(COMMANDS, asked) && asked !== 'complete'

await runCommand(await commandLine(alone ? { [asked]: COMMANDS[asked] } : COMMANDS), words)
