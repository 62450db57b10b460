/**
 * Whatever program a test or the program itself starts belongs to the base system, or comes with a package that
 * `npm run test:tools` installs, or test/others/fetch.sh. Every word in the sources that stands where a command may and is a program's name on
 * this machine is taken for one: a new one is found without being listed anywhere.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parsePage } from '../support/docs/page.js'

const FOLDERS = ['test', 'packaging', 'src/lab', 'src/demo', 'bench/macro/generators']
const SCRIPTS = ['test/install-tools.sh', 'test/others/fetch.sh', '.ci/run']
const PAGES = readdirSync('docs')
  .filter((it) => it.endsWith('.md'))
  .map((it) => join('docs', it))

/** Programs that come with Node, or with what `npm ci` installs. */
const NODES = new Set(['node', 'nodejs', 'npm', 'npx', 'tap', 'tsc'])

/** Words in the sources that are programs' names somewhere, and mean something else there. */
const OTHER_WORDS: ReadonlySet<string> = new Set(['write', 'make', 'bc', 'route', 'look', 'init'])

const SYSTEM_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((it) => it.isFile() && it.name.endsWith('.ts') && it.name !== 'tools.test.ts')
    .map((it) => join(it.parentPath ?? it.path, it.name))
}

const WORD = /^[a-z][a-z0-9.+-]*$/

/** Words of a text in quotes that may be commands: the only one, or the first of each command of a shell's line. */
function commandsIn(text: string): string[] {
  if (WORD.test(text)) return [text]
  const isShell = /&&|\|\||;|\||\bexec |\$\(/.test(text)
  if (!isShell) return []
  return text
    .split(/&&|\|\||;|\||\$\(|\n/)
    .map((it) => it.trim().replace(/^(exec|then|do|if|while|until|!) /, ''))
    .map((it) => it.split(/\s/)[0])
    .filter((it) => WORD.test(it))
}

/** What a page's reader types. */
function commandsOfPage(markdown: string): string[] {
  return parsePage(markdown).steps.flatMap((step) => {
    if (step.kind === 'file') return []
    return step.kind === 'run' ? step.script.split('\n') : [step.command]
  })
}

function wordsOf(file: string): string[] {
  const source = readFileSync(file, 'utf8')
  if (file.endsWith('.md')) return commandsOfPage(source).flatMap((line) => commandsIn(`${line};`))
  if (!file.endsWith('.ts')) return source.split('\n').flatMap((line) => commandsIn(`${line};`))
  const texts = [...source.matchAll(/'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g)]
  return texts.flatMap(([, quoted, template]) => commandsIn(quoted ?? template))
}

/** Packages that are always there, or installed by the script, and all that they need. */
function coveredPackages(listed: readonly string[]): Set<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format, not JavaScript's
  const format = '${Package}\t${Essential}\t${Priority}\t${Pre-Depends}, ${Depends}\t${Provides}\n'
  const rows = execFileSync('dpkg-query', ['-W', '-f', format], { encoding: 'utf8' }).trim().split('\n')
  const needs = new Map<string, string[]>()
  const queue = [...listed]
  for (const row of rows) {
    const [name, essential, priority, depends] = row.split('\t')
    needs.set(
      name,
      [...depends.matchAll(/([a-z0-9][a-z0-9+.-]+)(?::\w+)?(?: \([^)]*\))?/g)].map(([, it]) => it),
    )
    if (essential === 'yes' || priority === 'required') queue.push(name)
  }
  const covered = new Set<string>()
  for (let it = queue.pop(); it !== undefined; it = queue.pop()) {
    if (covered.has(it)) continue
    covered.add(it)
    queue.push(...(needs.get(it) ?? []))
  }
  return covered
}

/** A program's paths as packages may have them: before /bin became a link, and what it is a link to. */
function pathsOf(path: string): string[] {
  const all = [path, realpathSync(path)]
  return [...new Set([...all, ...all.map((it) => it.replace(/^\/usr\/(s?bin)/, '/$1'))])]
}

/** The packages that own files, by path. */
function ownersOf(paths: readonly string[]): Map<string, string[]> {
  // It ends with 1 where it knows some of them not.
  const { stdout } = spawnSync('dpkg-query', ['-S', ...paths], { encoding: 'utf8' })
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('diversion'))
  return new Map(
    lines.map((line) => {
      const [packages, path] = line.split(': ')
      return [path, packages.split(', ').map((it) => it.split(':')[0])]
    }),
  )
}

t.test(
  'every program that is started comes with the base system or with npm run test:tools',
  { skip: !existsSync('/usr/bin/dpkg-query') && 'this is no Debian' },
  async (t) => {
    const script = readFileSync('test/install-tools.sh', 'utf8')
    const lists = [...script.matchAll(/^(?:packages|kernels)='([^']+)'$/gm)]
    const others = readFileSync('test/others/fetch.sh', 'utf8').matchAll(/^ *install_packages ([a-z].*)$/gm)
    const listed = [...lists, ...others].flatMap(([, words]) => words.split(' '))
    t.ok(listed.length > 10)
    const covered = coveredPackages(listed)
    const path = [...new Set([...SYSTEM_PATH, ...(process.env.PATH ?? '').split(':')])].filter(
      (it) => it.startsWith('/') && !it.includes('node_modules'),
    )
    const files = [...FOLDERS.flatMap(filesIn), ...SCRIPTS, ...PAGES]
    const words = new Map(files.flatMap((file) => wordsOf(file).map((word) => [word, file] as const)))
    const programs = [...words].flatMap(([word, file]) => {
      const paths = path.map((folder) => join(folder, word)).filter((it) => existsSync(it))
      const isMeant = paths.length > 0 && !NODES.has(word) && !OTHER_WORDS.has(word)
      return isMeant ? [{ word, file, paths: paths.flatMap(pathsOf) }] : []
    })
    const owners = ownersOf(programs.flatMap(({ paths }) => paths))
    for (const { word, file, paths } of programs) {
      const all = paths.flatMap((it) => owners.get(it) ?? [])
      t.ok(
        all.some((it) => covered.has(it)) || listed.includes(word),
        `${word} in ${file} is of ${all.join(', ') || `no package (${paths})`}`,
      )
    }
    for (const word of OTHER_WORDS) t.ok(words.has(word), `${word} is still there`)
    const found = new Set(programs.map(({ word }) => word))
    for (const program of [
      'ip',
      'ping',
      'tc',
      'nft',
      'wg',
      'wireguard-go',
      'python3',
      'cc',
      'setpriv',
      'sysctl',
      'script',
      'dnsmasq',
      'curl',
    ])
      t.ok(found.has(program), `${program} is found, where it is installed`)
  },
)
