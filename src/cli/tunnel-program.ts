/**
 * The command `start`, with everything that it loads in few files (packaging/bundle.ts). Every chunk costs a start some
 * time, and no command is started as often by people who wait.
 */
import { commandLine } from './command-line.js'
import { runCommand } from './run-command.js'
import { addStart } from './start.js'

await runCommand(await commandLine({ start: async () => addStart }))
