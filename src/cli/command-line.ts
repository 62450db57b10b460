import { Command } from 'commander'
import type { LoadCommand } from './commands.js'
import { ofOurs } from './run-command.js'

/** The command line with these commands: what the program, its completion and its manual page share. */
export async function commandLine(commands: Readonly<Record<string, LoadCommand>>): Promise<Command> {
  const program = ofOurs(new Command('udptun-fast'))
    .description(
      'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
    )
    .enablePositionalOptions()
  for (const load of Object.values(commands)) (await load())(program)
  return program
}
