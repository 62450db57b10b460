import { readdirSync } from 'node:fs'
import tab from '@bomb.sh/tab/commander'
import type { Command } from 'commander'
import { ask, askStatus, listRunning } from '../command/client.js'
import { listSockets } from '../command/path.js'
import type { MemberReport } from '../control/members/report.js'
import { isHost } from '../control/status.js'
import { NAMES } from '../host/namespace.js'
import { BASH_COMPLETION } from './bash-completion.js'
import { examples } from './examples.js'
import { end } from './fail.js'
import { endIfOutputFails, outputWritten } from './output.js'
import { ZSH_COMPLETION } from './zsh-completion.js'

const EXAMPLES = `
Examples:
  source <(udptun-fast complete bash)                                  for this shell only
  udptun-fast complete bash > /etc/bash_completion.d/udptun-fast       for everybody
  udptun-fast complete zsh > /usr/local/share/zsh/site-functions/_udptun-fast
  udptun-fast complete fish > /etc/fish/completions/udptun-fast.fish
`

/** In the place of the library's own. */
const OWN_SCRIPTS: Readonly<Record<string, string>> = { bash: BASH_COMPLETION, zsh: ZSH_COMPLETION }

/** Those that a test completes words in. */
const SHELLS = ['bash', 'zsh', 'fish']

type Suggest = (value: string, description: string) => void

/**
 * Adds the command that prints a shell's completion; it must be the last one. The shell then asks with
 * `complete -- <the words of its line>`, and gets a line for each word that may stand in the place of the last.
 */
export function addComplete(program: Command): void {
  const completion = tab(program)
  let peers: readonly string[] = []
  const own = program.commands.find((it) => it.name() === 'complete')
  const shell = own?.registeredArguments[0]
  if (shell !== undefined) shell.description = 'bash, zsh or fish'
  own
    // The library does not wait for what suggests words.
    ?.hook('preAction', async (_, { args }) => {
      // The library does not notice that its own script for fish is not written.
      endIfOutputFails()
      const script = process.argv[3] === args[0] ? OWN_SCRIPTS[args[0]] : undefined
      if (script !== undefined) return tell(script)
      if (args[0] === 'ping') peers = await namesOfPeers()
      if (args[0] === 'remove') peers = await namesToRemove()
    })
    .summary('complete words in a shell')
    .description('Prints a script for a shell, which then completes the words of this program.')
    .addHelpText('after', examples(EXAMPLES))
  suggestWords(completion.commands.get('complete')?.arguments.get('shell'), SHELLS)
  suggestWords(completion.commands.get('help')?.arguments.get('command'), namesIn(program))
  for (const [name, command] of allCommands(program)) {
    suggestWords(completion.commands.get(`${name} help`)?.arguments.get('command'), namesIn(command))
    const words = completion.commands.get(name)
    if (words === undefined) continue
    words.description = command.summary()
    const device = words.arguments.get('device')
    if (device !== undefined) device.handler = suggestDevices
    const peer = words.arguments.get('peer') ?? words.arguments.get('member')
    if (peer !== undefined)
      peer.handler = (suggest) => {
        for (const name of peers) suggest(name, 'a peer')
      }
    for (const [argument, it] of words.arguments) if (/\bfile\b/.test(argument)) it.handler = suggestFiles
    for (const { flags, name } of command.options.map((it) => ({
      flags: it.flags,
      name: it.long?.slice(2),
    }))) {
      const option = words.options.get(name ?? '')
      if (option !== undefined && name === 'netns') option.handler = suggestNamespaces
      if (option !== undefined && takesFile(flags)) option.handler = suggestFiles
      const isRunning = device !== undefined || peer !== undefined
      if (option !== undefined && name === 'dev' && isRunning) option.handler = suggestDevices
    }
  }
}

/** In the place of what the library would print. */
async function tell(script: string): Promise<void> {
  process.stdout.write(script)
  await outputWritten()
  await end(0)
}

const namesIn = (command: Command) => command.commands.map((it) => it.name())

/** @param argument undefined: the library does not know it */
function suggestWords(argument: { handler?: unknown } | undefined, words: readonly string[]): void {
  if (argument !== undefined)
    argument.handler = (suggest: Suggest) => {
      for (const word of words) suggest(word, '')
    }
}

/** All commands by their names; those of a command with its name before theirs. */
export function allCommands(program: Command): [name: string, command: Command][] {
  return program.commands.flatMap((command) => [
    [command.name(), command],
    ...allCommands(command).map(([name, it]): [string, Command] => [`${command.name()} ${name}`, it]),
  ])
}

/** Whether a flag such as `--config <file.yaml>` names a file. */
function takesFile(flags: string): boolean {
  return /<(file|[^>]+\.conf)/.test(flags)
}

function suggestDevices(suggest: Suggest): void {
  for (const { device, present, elsewhere } of listSockets())
    if (present || elsewhere) suggest(device, 'a tunnel that runs here')
}

function suggestNamespaces(suggest: Suggest): void {
  for (const { name } of filesIn(NAMES)) suggest(name, 'a network namespace')
}

/** The peers of all tunnels that run here. */
function namesOfPeers(): Promise<string[]> {
  return namesOfAll(async (device) => (await askStatus(device)).peers.filter(isHost))
}

/** Whom the tunnels that run here have invited, come or not. */
function namesToRemove(): Promise<string[]> {
  return namesOfAll(async (device) =>
    ((await ask(device, { command: 'members' })) as readonly MemberReport[]).filter(
      ({ source }) => source === 'member' || source === 'invitation',
    ),
  )
}

/** A tunnel that does not answer has nobody. */
async function namesOfAll(
  namedOf: (device: string) => Promise<readonly { readonly name: string }[]>,
): Promise<string[]> {
  const devices = await listRunning().catch(() => [])
  const all = await Promise.all(devices.map((device) => namedOf(device).catch(() => [])))
  return [...new Set(all.flat().map(({ name }) => name))]
}

/** The library keeps shells from completing files themselves, so that this does. */
function suggestFiles(suggest: Suggest): void {
  const word = (process.argv.at(-1) ?? '').replace(/^--[^=]*=/, '')
  const folder = word.slice(0, word.lastIndexOf('/') + 1)
  for (const entry of filesIn(folder === '' ? '.' : folder))
    suggest(`${folder}${entry.name}${entry.isDirectory() ? '/' : ''}`, '')
}

function filesIn(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch {
    return []
  }
}
