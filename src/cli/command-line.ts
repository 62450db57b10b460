import { Command } from 'commander'
import { COMMANDS } from './commands.js'
import { ofOurs } from './run-command.js'

/** The command line with the commands of these names: what the program, its completion and its manual page share. */
export async function commandLine(names: readonly string[] = Object.keys(COMMANDS)): Promise<Command> {
  const program = ofOurs(new Command('udptun-fast'))
    .description(
      'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
    )
    .enablePositionalOptions()
  for (const name of names) (await COMMANDS[name]())(program)
  return program
}
