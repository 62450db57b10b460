#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { version } from '../version.js'
import { addDemo } from './demo.js'
import { fail } from './fail.js'
import { addStart } from './start.js'
import { addStatus } from './status.js'

const program = new Command('udptun-fast')
  .description(
    'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
  )
  .version(version)
  .showHelpAfterError('(see udptun-fast --help)')
  .enablePositionalOptions()
  .exitOverride()
addStart(program)
addStatus(program)
addDemo(program)

try {
  await program.parseAsync()
} catch (error) {
  // Commander has said what it had to say; help and --version are no mistakes.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  fail(error)
}
