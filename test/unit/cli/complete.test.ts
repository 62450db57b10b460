import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { commandLine } from '../../../src/cli/command-line.js'
import { COMMANDS } from '../../../src/cli/commands.js'
import { allCommands } from '../../../src/cli/complete.js'
import { PROGRAM } from '../../support/program.js'

/** A folder in which the program has its name, so that a shell finds it. It only says what else it was asked. */
const folder = mkdtempSync(join(tmpdir(), 'udptun-shell-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const named = join(folder, 'udptun-fast')
writeFileSync(
  named,
  `#!/bin/sh\n[ "$1" = complete ] || exec echo "asked to $*"\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`,
)
chmodSync(named, 0o755)
const { NODE_OPTIONS: _, ...others } = process.env
const env = { ...others, PATH: `${folder}:${process.env.PATH}`, TERM: 'dumb' }

/** What the program suggests for the last of these words. */
function suggested(...words: string[]): string[] {
  const out = execFileSync(named, ['complete', '--', ...words], { env, encoding: 'utf8' })
  const lines = out.trimEnd().split('\n')
  // Then the shell adds no files of its own.
  if (lines.pop() !== ':4') throw new Error(`no directive in: ${out}`)
  return lines.map((line) => line.split('\t')[0])
}

t.test('it knows all commands, their flags, and the values that a flag may have', async (t) => {
  const program = await commandLine(COMMANDS)
  const { commands } = program
  t.same(suggested('').sort(), [...commands.map((it) => it.name()), 'help'].sort())
  for (const [name, command] of allCommands(program).filter(([name]) => name !== 'complete'))
    t.same(
      suggested(...name.split(' '), '--').sort(),
      [...command.options.map(({ long }) => long), '--help'].sort(),
      name,
    )
  t.same(suggested('network', '').sort(), ['add', 'help', 'key', 'request', 'show', 'sign'])
  t.same(suggested('start', '--datapath', ''), ['auto', 'kernel', 'workers'])
  t.same(suggested('start', '--datapath', 'w'), ['workers'])
  t.same(suggested('complete', ''), ['bash', 'zsh', 'fish'])
  t.same(suggested('complete', 'z'), ['zsh'])
  t.same(suggested('help', '').sort(), commands.map((it) => it.name()).sort())
  t.same(suggested('help', 'netw'), ['network'])
  t.same(suggested('network', 'help', 's').sort(), ['show', 'sign'])
})

t.test('a flag for a file is completed with files, and folders end in a slash', async (t) => {
  writeFileSync(join(folder, 'a.yaml'), '')
  t.same(suggested('start', '--config', `${folder}/a`), [join(folder, 'a.yaml')])
  t.same(suggested('up', `${folder}/a`), [join(folder, 'a.yaml')])
  t.ok(suggested('start', '--private-key-file', '/et').includes('/etc/'))
  t.same(suggested('start', '--config', '/nowhere/x'), [])
  t.same(suggested('network', 'sign', `${folder}/a`), [join(folder, 'a.yaml')])
})

/** Types a line and a tabulator into a shell on a terminal (zsh's zpty). @returns what is run and seen then */
function seenIn({ shell, setUp }: typeof BASH, line = 'start --datapath w'): string {
  const script = `
zmodload zsh/zpty
zpty shell ${shell}
zpty -w shell ${JSON.stringify(`PS1=; stty -echo; ${setUp}; echo REA''DY`)}
zpty -r -m shell seen '*READY*'
zpty -w shell "udptun-fast $1"$'\\t'
zpty -r -m shell seen $'*asked to *\\r*'
print -r -- "$seen"
`
  return execFileSync('zsh', ['-f', '-c', script, 'zsh', line], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
    cwd: folder,
  })
}

const BASH = {
  shell: 'bash --norc --noprofile -i',
  setUp: '. /usr/share/bash-completion/bash_completion; . <(udptun-fast complete bash)',
}
const ZSH = {
  shell: 'zsh -f -i',
  setUp: 'autoload -U compinit; compinit -u -D; . <(udptun-fast complete zsh)',
}

/** What is typed, and what the program gets then. */
const ODD: readonly (readonly [typed: string, got: string])[] = [
  ['start --config strange/off', 'start --config strange/off$ice'],
  ['start --config strange/off\\$', 'start --config strange/off$ice'],
  ['start --config strange/br:', 'start --config strange/br:anch'],
  ['start --config=strange/br:a', 'start --config=strange/br:anch'],
  ['start --config strange/r', 'start --config strange/r$(touch run)'],
  ['start --config=strange/r', 'start --config=strange/r$(touch run)'],
  ['start --config "strange/two w', 'start --config strange/two words'],
  ["start --config='strange/tw", 'start --config=strange/two words'],
]

for (const [name, shell] of Object.entries({ bash: BASH, zsh: ZSH })) {
  t.test(`${name} completes a word by it`, async (t) => {
    t.match(seenIn(shell), /asked to start --datapath workers/)
  })

  t.test(`${name} gives the program what a file is called, and runs none of it`, async (t) => {
    const strange = join(folder, 'strange')
    mkdirSync(strange)
    for (const file of ['off$ice', 'br:anch', 'r$(touch run)', 'two words'])
      writeFileSync(join(strange, file), '')
    for (const [typed, got] of ODD) t.match(seenIn(shell, typed), `asked to ${got}\r`, typed)
    t.notOk(existsSync(join(folder, 'run')))
    rmSync(strange, { recursive: true })
  })
}

/** What bash would put in the place of the last of these words. They are split as it does, also at `=`. */
function repliesOfBash(...words: string[]): string[] {
  const line = ['udptun-fast', ...words].join(' ').replace(/ = ?/, '=')
  const script = `
. /usr/share/bash-completion/bash_completion; . <(udptun-fast complete bash)
compopt() { :; }
COMP_LINE=$1; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=("\${@:2}"); COMP_CWORD=$(($# - 2))
__udptun_fast_complete
printf '%s\\n' "\${COMPREPLY[@]}"`
  const out = execFileSync('bash', ['--norc', '-c', script, 'bash', line, 'udptun-fast', ...words], {
    env,
    encoding: 'utf8',
    cwd: folder,
  })
  return out.trimEnd().split('\n')
}

t.test('bash completes a value behind =', async (t) => {
  t.same(repliesOfBash('start', '--datapath', '=', 'w'), ['workers'])
  t.same(repliesOfBash('start', '--datapath', '='), ['auto', 'kernel', 'workers'])
})

t.test('bash does not run what a file is called', async (t) => {
  const inside = join(folder, 'odd')
  mkdirSync(inside)
  writeFileSync(join(inside, '$(touch run).yaml'), '')
  t.same(repliesOfBash('start', '--config', 'odd/'), ['odd/\\$\\(touch\\ run\\).yaml'])
  t.notOk(existsSync(join(folder, 'run')))
})

t.test('fish completes a word by it', async (t) => {
  const script = 'udptun-fast complete fish | source; complete -C "udptun-fast start --datapath w"'
  t.match(
    execFileSync('fish', ['--no-config', '-c', script], { env: { ...env, HOME: folder }, encoding: 'utf8' }),
    /^workers/,
  )
})
