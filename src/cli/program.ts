/** The command line. */
import { Command, CommanderError } from 'commander'
import pc from 'picocolors'
import { withoutKeys } from '../key-text.js'
import { version } from '../version.js'
import { fail } from './fail.js'

const program = new Command('udptun-fast')
  .description(
    'A private Ethernet over any IP network: a tap device on each host, its frames carried in UDP.',
  )
  .version(version)
  .configureOutput({ outputError: (text, write) => write(asSentence(text)) })
  .enablePositionalOptions()
  .exitOverride()

/** Brings Commander's `error: …`, of one or two lines, into the form of all other messages here. */
function asSentence(text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replaceAll('\n', ' ')
    .replace(/\. ([A-Z])/, (_, letter) => `: ${letter.toLowerCase()}`)
    .replace(/\.$/, '')
  return `${pc.red('udptun-fast:')} ${withoutKeys(said)}; see udptun-fast --help\n`
}

/**
 * Each command is loaded only if it is asked for. The help loads all. `start` must not wait for the demo's
 * modules.
 */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  start: async () => (await import('./start.js')).addStart,
  status: async () => (await import('./status.js')).addStatus,
  peers: async () => (await import('./peers.js')).addPeers,
  fdb: async () => (await import('./fdb.js')).addFdb,
  reload: async () => (await import('./reload.js')).addReload,
  mtu: async () => (await import('./mtu.js')).addMtu,
  keygen: async () => (await import('./keys.js')).addKeygen,
  pubkey: async () => (await import('./keys.js')).addPubkey,
  demo: async () => (await import('./demo.js')).addDemo,
}
const [, , asked = ''] = process.argv
for (const name of Object.hasOwn(COMMANDS, asked) ? [asked] : Object.keys(COMMANDS))
  (await COMMANDS[name]())(program)

// Node.js's own end of the process would wait for the workers, which nobody stops any more.
process.on('uncaughtException', fail)

try {
  await program.parseAsync()
} catch (error) {
  // Commander has already printed its message. --help and --version are not mistakes.
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  fail(error)
}
