/** What udptun-fast does. */
import { usageError } from '../errors.js'
import { commandLine } from './command-line.js'
import { COMMANDS } from './commands.js'
import { fail } from './fail.js'
import { wordsOf, wrongTopic } from './help-words.js'
import { runCommand } from './run-command.js'

const given = process.argv.slice(2)
const words = wordsOf(given)
const [asked = ''] = words
const alone = Object.hasOwn(COMMANDS, asked) && asked !== 'complete'

const program = await commandLine(alone ? { [asked]: COMMANDS[asked] } : COMMANDS)
const wrong = wrongTopic(program, given)
if (wrong !== undefined) await fail(usageError(wrong))
await runCommand(program, words)
